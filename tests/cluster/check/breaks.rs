//! Each link of the chain, and how it is broken.

/// A link that is broken.
pub(super) struct Break {
    pub(super) how: &'static str,
    /// What the line says.
    pub(super) line: &'static str,
    pub(super) found: &'static str,
    pub(super) is_warning: bool,
    /// What fixes it, where the hint is no command that does.
    pub(super) fix: Option<&'static str>,
}

const BREAK: Break = Break {
    how: "",
    line: "",
    found: "",
    is_warning: false,
    fix: None,
};

/// Each link that can be broken without another one.
pub(super) const BREAKS: &[Break] = &[
    Break {
        how: r#"kubectl patch crd gpupools.berth.dev --type=json -p '[{"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/autoscaling"}]'"#,
        line: "GPUPool has the schema of this berth",
        found: "schema.spec.autoscaling",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch mutatingwebhookconfiguration berth --type=json -p '[{"op":"replace","path":"/webhooks/0/reinvocationPolicy","value":"Never"}]'"#,
        line: "the webhook configuration is as it is shipped",
        found: "pods.berth.dev reinvocationPolicy is Never",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch mutatingwebhookconfiguration berth --type=json -p '[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]'"#,
        line: "the webhook configuration is as it is shipped",
        found: "failurePolicy is Ignore",
        is_warning: true,
        ..BREAK
    },
    Break {
        how: r#"kubectl patch mutatingwebhookconfiguration berth --type=json -p '[{"op":"remove","path":"/webhooks/1"}]'"#,
        line: "the webhook configuration is as it is shipped",
        found: "namespaces.berth.dev is missing",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch mutatingwebhookconfiguration berth --type=json -p '[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"},{"op":"remove","path":"/webhooks/1/clientConfig/caBundle"}]'"#,
        line: "the caBundle verifies the certificate that is served",
        found: "the caBundle is empty",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch clusterrole berth --type=json -p '[{"op":"remove","path":"/rules/3"}]'"#,
        line: "berth has the rights that it needs",
        found: "it may not list nodes, watch nodes, list pods, watch pods",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch validatingwebhookconfiguration berth --type=json -p '[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]'"#,
        line: "the word at apply is asked for as Pods are",
        found: "its caBundle is another one",
        is_warning: true,
        ..BREAK
    },
    Break {
        how: "kubectl delete clusterrolebinding berth",
        line: "berth has the rights that it needs",
        found: "it may not list gpupools.berth.dev, watch gpupools.berth.dev,",
        ..BREAK
    },
    Break {
        how: "kubectl delete rolebinding berth -n berth",
        line: "berth has the rights that it needs",
        found: "it may not get leases.coordination.k8s.io berth in namespace berth",
        ..BREAK
    },
    Break {
        how: "kubectl delete clusterrole berth",
        line: "berth has the rights that it needs",
        found: "create events.events.k8s.io",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch role berth -n berth --type=json -p '[{"op":"replace","path":"/rules/0/verbs","value":["list","watch","update"]}]'"#,
        line: "berth has the rights that it needs",
        found: "it may not get leases.coordination.k8s.io berth in namespace berth",
        ..BREAK
    },
    Break {
        how: "kubectl create clusterrolebinding too-much --clusterrole=edit --serviceaccount=berth:berth",
        line: "berth has no right by which it could harm",
        found: "by ClusterRoleBinding too-much",
        ..BREAK
    },
    Break {
        how: "kubectl create rolebinding too-much -n berth --clusterrole=edit --serviceaccount=berth:berth",
        line: "berth has no right by which it could harm",
        found: "by RoleBinding too-much/berth",
        ..BREAK
    },
    Break {
        how: "kubectl scale deployment berth -n berth --replicas=0",
        line: "the replicas are ready",
        found: "Deployment berth is scaled to 0",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch workloadclass xtts --type=json -p '[{"op":"replace","path":"/spec/pools/0/name","value":"gone"}]'"#,
        line: "WorkloadClass xtts is accepted",
        found: "PoolNotFound",
        ..BREAK
    },
    Break {
        how: "kubectl taint nodes khelben.home.arpa dedicated-",
        line: "strix-halo: its Nodes have the taints that it declares",
        found: "node khelben.home.arpa has no taint dedicated=vllm:NoSchedule",
        is_warning: true,
        ..BREAK
    },
    Break {
        how: "kubectl label node drizzt.home.arpa kubernetes.io/hostname-",
        line: "radeon-680m: its Nodes are there",
        found: "no Node has the label kubernetes.io/hostname=drizzt",
        ..BREAK
    },
    Break {
        how: "kubectl cordon danilo.home.arpa",
        line: "intel-arc: its Nodes take Pods",
        found: "node danilo.home.arpa is cordoned",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch node drizzt.home.arpa --subresource=status --type=json -p '[{"op":"remove","path":"/status/allocatable/amd.com~1gpu"}]'"#,
        line: "radeon-680m: its Nodes offer amd.com/gpu",
        found: "does the device plugin run there?",
        fix: Some(
            r#"kubectl patch node drizzt.home.arpa --subresource=status --type=json -p '[{"op":"add","path":"/status/allocatable/amd.com~1gpu","value":"1"}]'"#,
        ),
        ..BREAK
    },
    Break {
        how: "kubectl delete lease berth -n berth",
        line: "a replica holds the Lease",
        found: "there is no Lease berth in namespace berth",
        ..BREAK
    },
    Break {
        how: r#"berth guard --table examples/homelab.yaml | kubectl apply -f - && echo '{"apiVersion":"berth.dev/v1alpha1","kind":"WorkloadClass","metadata":{"name":"second"},"spec":{"pools":[{"name":"rtx-2070"}]}}' | kubectl apply -f -"#,
        line: "the guard is in force and as the table",
        found: "policy berth-guard was made from table ",
        ..BREAK
    },
    Break {
        how: "kubectl delete validatingadmissionpolicybinding berth-guard",
        line: "the guard is in force and as the table",
        found: "policy berth-guard has no binding",
        // from here on there is none
        fix: Some("kubectl delete validatingadmissionpolicy/berth-guard workloadclass/second"),
        ..BREAK
    },
    // these change the table
    Break {
        how: "kubectl taint nodes elminster.home.arpa gpu=true:NoSchedule",
        line: "rtx-2070: its Pods tolerate every taint of its Nodes",
        found: "node elminster.home.arpa has the taint gpu=true:NoSchedule",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch node danilo.home.arpa --subresource=status --type=json -p '[{"op":"remove","path":"/status/allocatable/gpu.intel.com~1i915"},{"op":"add","path":"/status/allocatable/gpu.intel.com~1xe","value":"1"}]'"#,
        line: "intel-arc: its Nodes offer gpu.intel.com/i915",
        found: "gpu.intel.com/xe instead",
        ..BREAK
    },
];

/// The nodes of a pool get a driver whose name for the GPU is another one.
pub(super) const BY_DRA: Break = Break {
    how: r#"kubectl patch node danilo.home.arpa --subresource=status --type=json -p '[{"op":"remove","path":"/status/allocatable/gpu.intel.com~1xe"}]' && echo '{"apiVersion":"resource.k8s.io/v1","kind":"DeviceClass","metadata":{"name":"gpu.intel.com"},"spec":{"extendedResourceName":"intel.com/gpu"}}' | kubectl apply -f -"#,
    line: "intel-arc: its Nodes offer gpu.intel.com/xe",
    found: "DRA offers intel.com/gpu (DeviceClass gpu.intel.com)",
    ..BREAK
};

/// The links that are there where the Service is as it is installed.
pub(super) const OF_THE_SERVICE: &[Break] = &[
    Break {
        how: "kubectl set selector service berth app=other -n berth",
        line: "the Service leads to the replicas",
        found: "it selects app=other",
        ..BREAK
    },
    Break {
        how: r#"CA=$(kubectl get configmap kube-root-ca.crt -n default -o jsonpath='{.data.ca\.crt}' | base64 -w0) && kubectl patch mutatingwebhookconfiguration berth --type=json -p "[{\"op\":\"replace\",\"path\":\"/webhooks/0/clientConfig/caBundle\",\"value\":\"$CA\"},{\"op\":\"replace\",\"path\":\"/webhooks/1/clientConfig/caBundle\",\"value\":\"$CA\"}]""#,
        line: "the caBundle verifies the certificate that is served at ",
        found: "it is not of a CA that the caBundle has",
        ..BREAK
    },
    Break {
        how: "kubectl delete service berth -n berth",
        line: "the Service leads to the replicas",
        found: "there is no Service berth in namespace berth",
        ..BREAK
    },
];

{{/* The label app.kubernetes.io/name. */}}
{{- define "berth.chartName" -}}
{{ .Values.nameOverride | default .Chart.Name }}
{{- end -}}

{{/* The name of everything: the release's name, and the chart's if the release's does not contain it. */}}
{{- define "berth.name" -}}
{{- $chart := include "berth.chartName" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $chart .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $chart | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "berth.selector" -}}
app.kubernetes.io/name: {{ include "berth.chartName" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "berth.labels" -}}
{{- $ours := include "berth.selector" . | fromYaml -}}
{{- $_ := set $ours "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $ours "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $ours "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- merge $ours .Values.commonLabels | toYaml -}}
{{- end -}}

{{/* The labels of a Pod or an object that is no replica: not those of berth's selector. Takes the root and a component. */}}
{{- define "berth.otherLabels" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $ours := dict "app.kubernetes.io/name" (printf "%s-%s" (include "berth.name" $root) $component) -}}
{{- $_ := set $ours "app.kubernetes.io/instance" $root.Release.Name -}}
{{- $_ := set $ours "app.kubernetes.io/component" $component -}}
{{- merge $ours $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "berth.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "berth.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{/* The settings that the server and the lint share, as environment variables. */}}
{{- define "berth.settings" -}}
{{- $env := list -}}
{{- with .Values.gpuResources -}}
{{- $env = append $env (dict "name" "BERTH_GPU_RESOURCES" "value" (join "," .)) -}}
{{- end -}}
{{- with .Values.companionResources -}}
{{- $env = append $env (dict "name" "BERTH_COMPANION_RESOURCES" "value" (join "," .)) -}}
{{- end -}}
{{- with .Values.injectedContainers -}}
{{- $env = append $env (dict "name" "BERTH_INJECTED_CONTAINERS" "value" (join "," .)) -}}
{{- end -}}
{{- with $env -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{- define "berth.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the serving certificate. */}}
{{- define "berth.tlsSecret" -}}
{{- if eq .Values.tls.mode "secret" -}}
{{ .Values.tls.secretName }}
{{- else -}}
{{ include "berth.name" . }}-tls
{{- end -}}
{{- end -}}

{{/* Where the table is: files or cluster. */}}
{{- define "berth.source" -}}
{{- if not (kindIs "map" .Values.table) -}}
{{- fail "the value table is not the text of a table any more, but a map: use --set-file table.manifests=FILE instead of --set-file table=FILE, with table.source=files" -}}
{{- end -}}
{{ .Values.table.source }}
{{- end -}}

{{/* Whether replicas ask the one that holds the Lease to choose between pools. Empty: there is no Lease, or nothing to count. */}}
{{- define "berth.forwards" -}}
{{- if and (eq (include "berth.source" .) "cluster") .Values.live .Values.status -}}
true
{{- end -}}
{{- end -}}

{{- define "berth.table" -}}
{{ .Values.table.existingConfigMap | default (printf "%s-table" (include "berth.name" .)) }}
{{- end -}}

{{/* The DNS name that the API server expects in the certificate. */}}
{{- define "berth.dnsName" -}}
{{ include "berth.name" . }}.{{ .Release.Namespace }}.svc
{{- end -}}

{{/*
Replicas prefer a node, and with spreadZones a zone, without another one. As anti-affinity: with a topology spread over
zones, the scheduler scores no node that has no zone, and both replicas may stand on one node.
*/}}
{{- define "berth.affinity" -}}
{{- $selector := include "berth.selector" . | fromYaml -}}
{{- $terms := list -}}
{{- range $key := ternary (list "kubernetes.io/hostname" "topology.kubernetes.io/zone") (list "kubernetes.io/hostname") .Values.spreadZones -}}
{{- $term := dict "topologyKey" $key "labelSelector" (dict "matchLabels" $selector) -}}
{{- $terms = append $terms (dict "weight" 100 "podAffinityTerm" $term) -}}
{{- end -}}
{{- $ours := dict "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" $terms) -}}
{{- merge (dict) (.Values.affinity | default dict) (ternary dict $ours (hasKey (.Values.affinity | default dict) "podAntiAffinity")) | toYaml -}}
{{- end -}}

{{/* The table is named once, or said to be empty: so an upgrade that forgets it does not empty it. */}}
{{- define "berth.checkTable" -}}
{{- if eq (include "berth.source" .) "cluster" -}}
{{- if or .Values.table.manifests .Values.table.existingConfigMap -}}
{{- fail "table.source is cluster, and table.manifests and table.existingConfigMap are for files: write the objects into the cluster (kubectl apply -f FILE) and remove the value, or set table.source=files" -}}
{{- end -}}
{{- else if and .Values.table.manifests .Values.table.existingConfigMap -}}
{{- fail "both table.manifests and table.existingConfigMap are set: remove one of them" -}}
{{- else if not (or .Values.table.manifests .Values.table.existingConfigMap .Values.table.allowEmpty) -}}
{{- fail "there is no table: give it with --set-file table.manifests=FILE (or keep that of the last release with --reuse-values), name your ConfigMap in table.existingConfigMap, or set table.allowEmpty=true: berth then denies every Pod that names a class" -}}
{{- end -}}
{{- end -}}

{{/* Where the Pod of `helm test` is created. */}}
{{- define "berth.testNamespace" -}}
{{ .Values.test.namespace | default "default" }}
{{- end -}}

{{/* Why there is nothing to test with. Empty if there is. */}}
{{- define "berth.cannotTest" -}}
{{- $namespace := include "berth.testNamespace" . -}}
{{- if has $namespace (append .Values.webhook.excludedNamespaces .Release.Namespace) -}}
{{- if .Values.test.namespace -}}
{{- fail (printf "test.namespace is %s, which the webhook excludes: name another one" $namespace) -}}
{{- end -}}
the API server does not ask berth about Pods in the namespace {{ $namespace }}: set test.namespace to another one
{{- else if not (include "berth.test" .) -}}
{{- with .Values.test.class -}}
test.class is {{ . }}, and the table has no such class with a pool: set test.class to a class of the table
{{- else -}}
the table has no class that is open to every namespace: set test.class to a class that is open to the namespace {{ $namespace }}
{{- end -}}
{{- if eq (include "berth.source" .) "cluster" }}. The cluster was looked at when this release was installed or upgraded last: after your table is applied, run helm upgrade again
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The class to test with, and the resource of its first pool: from the table, wherever it is. */}}
{{- define "berth.test" -}}
{{- $source := include "berth.source" . -}}
{{- $texts := list .Values.table.manifests -}}
{{- with .Values.table.existingConfigMap -}}
{{- $texts = values (dig "data" dict (lookup "v1" "ConfigMap" $.Release.Namespace .)) -}}
{{- end -}}
{{- $manifests := list -}}
{{- range $text := $texts -}}
{{- range regexSplit "(?m)^---.*$" $text -1 -}}
{{- $manifests = append $manifests (fromYaml .) -}}
{{- end -}}
{{- end -}}
{{- /* before the first installation, the cluster does not know the kinds */ -}}
{{- if and (eq $source "cluster") (.Capabilities.APIVersions.Has "berth.dev/v1alpha1") -}}
{{- range $kind := list "GPUPool" "WorkloadClass" -}}
{{- range dig "items" list (lookup "berth.dev/v1alpha1" $kind "" "") -}}
{{- $manifests = append $manifests (set . "kind" $kind) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $resources := dict -}}
{{- $classes := list -}}
{{- range $manifest := $manifests -}}
{{- if eq (toString $manifest.kind) "GPUPool" -}}
{{- $_ := set $resources (dig "metadata" "name" "" $manifest) (dig "spec" "resourceName" "" $manifest) -}}
{{- else if eq (toString $manifest.kind) "WorkloadClass" -}}
{{- $classes = append $classes $manifest -}}
{{- end -}}
{{- end -}}
{{- $chosen := dict -}}
{{- range $classes -}}
{{- $name := dig "metadata" "name" "" . -}}
{{- $pool := dig "spec" "pools" list . | first | default dict -}}
{{- $resource := get $resources (get $pool "name") -}}
{{- $wanted := eq $name ($.Values.test.class | default $name) -}}
{{- $open := or $.Values.test.class (not (dig "spec" "namespaceSelector" "" .)) -}}
{{- if and $wanted $open $resource (not $chosen) -}}
{{- $chosen = dict "class" $name "resource" $resource -}}
{{- end -}}
{{- end -}}
{{- if $chosen -}}
{{ toYaml $chosen }}
{{- end -}}
{{- end -}}

{{/*
What the cluster must have before helm asks it for objects that it does not know. Only in a cluster: `helm template`
knows no API besides Kubernetes' own, and not apiregistration.k8s.io, which every cluster has.
*/}}
{{- define "berth.checkCluster" -}}
{{- $apis := .Capabilities.APIVersions -}}
{{- if $apis.Has "apiregistration.k8s.io/v1" -}}
{{- if and (eq .Values.tls.mode "cert-manager") (not ($apis.Has "cert-manager.io/v1")) -}}
{{- fail "cert-manager is not installed in this cluster: install it with its CRDs (https://cert-manager.io/docs/installation), or set tls.mode to secret or helm" -}}
{{- end -}}
{{- if and .Values.prometheus.enabled (not ($apis.Has "monitoring.coreos.com/v1")) -}}
{{- fail "the Prometheus operator is not installed in this cluster: install it with its CRDs, or set prometheus.enabled=false" -}}
{{- end -}}
{{- end -}}
{{- end -}}

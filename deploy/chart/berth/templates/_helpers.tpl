{{/* The name of everything: the release's name, and the chart's if the release's does not contain it. */}}
{{- define "berth.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "berth.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "berth.labels" -}}
{{ include "berth.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
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

{{- define "berth.table" -}}
{{ .Values.existingTable | default (printf "%s-table" (include "berth.name" .)) }}
{{- end -}}

{{/* The DNS name that the API server expects in the certificate. */}}
{{- define "berth.dnsName" -}}
{{ include "berth.name" . }}.{{ .Release.Namespace }}.svc
{{- end -}}

{{/* What the restricted Pod Security Standard needs of the Pod, and below, of the container. */}}
{{- define "berth.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "berth.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The class to test with, and the resource of its first pool: from `table` or from `existingTable`. */}}
{{- define "berth.test" -}}
{{- $texts := list .Values.table -}}
{{- with .Values.existingTable -}}
{{- $texts = values (dig "data" dict (lookup "v1" "ConfigMap" $.Release.Namespace .)) -}}
{{- end -}}
{{- $resources := dict -}}
{{- $classes := list -}}
{{- range $text := $texts -}}
{{- range regexSplit "(?m)^---.*$" $text -1 -}}
{{- $manifest := fromYaml . -}}
{{- if eq (toString $manifest.kind) "GPUPool" -}}
{{- $_ := set $resources (dig "metadata" "name" "" $manifest) (dig "spec" "resourceName" "" $manifest) -}}
{{- else if eq (toString $manifest.kind) "WorkloadClass" -}}
{{- $classes = append $classes $manifest -}}
{{- end -}}
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

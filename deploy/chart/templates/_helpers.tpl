{{/* The name of what belongs to the operator, from that of the release. */}}
{{- define "sallyport.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) -}}
{{- $name = printf "%s-%s" $name .Chart.Name -}}
{{- end -}}
{{- printf "%s-operator" ($name | trunc 50 | trimSuffix "-") -}}
{{- end -}}

{{- define "sallyport.selector" -}}
app.kubernetes.io/name: sallyport-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sallyport.labels" -}}
{{ include "sallyport.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: sallyport
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- end -}}

{{- define "sallyport.image" -}}
{{- with .Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .Values.image.repository -}}:{{ .Values.image.tag | default .Chart.AppVersion -}}
{{- with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "sallyport.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "sallyport.name" .) -}}
{{- end -}}

{{/* The kinds, as plurals, one a line: those that there are definitions of. */}}
{{- define "sallyport.plurals" -}}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" }}
{{ base $path | trimPrefix "sallyport.dev_" | trimSuffix ".yaml" }}
{{- end }}
{{- end -}}

{{/* The name of the ValidatingWebhookConfiguration, which is the cluster's. */}}
{{- define "sallyport.webhook" -}}
{{- printf "%s-%s" (include "sallyport.name" .) .Release.Namespace -}}
{{- end -}}

{{/* What the operator may do where it keeps resources. */}}
{{- define "sallyport.rules" -}}
{{- $plurals := include "sallyport.plurals" . | trim | splitList "\n" -}}
- apiGroups: [sallyport.dev]
  resources:
  {{- range $plurals }}
  - {{ . }}
  {{- end }}
  verbs: [get, list, watch, patch]
- apiGroups: [sallyport.dev]
  resources:
  {{- range $plurals }}
  - {{ . }}/status
  {{- end }}
  verbs: [get, patch, update]
- apiGroups: [sallyport.dev] # to own objects where that asks for it (OpenShift)
  resources:
  {{- range $plurals }}
  - {{ . }}/finalizers
  {{- end }}
  verbs: [update]
- apiGroups: [""]
  resources: [configmaps, serviceaccounts, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets] # they are mounted by the kubelet; keys of sessions are made, and never written again
  verbs: [get, list, watch, create]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways] # what they speak, for the addresses that clients are told
  verbs: [get]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices] # where API servers listen, for NetworkPolicies of pods that ask them for keys
  resourceNames: [kubernetes]
  verbs: [get]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

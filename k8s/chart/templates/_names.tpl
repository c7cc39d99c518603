{{- define "recast.name" -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- end }}
{{- define "recast.labels" -}}
app.kubernetes.io/name: reana-lite
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "recast.selector" -}}
app.kubernetes.io/name: reana-lite
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "recast.jobsNamespace" -}}{{ .Values.jobs.namespace | default (printf "%s-jobs" .Release.Namespace) }}{{- end }}
{{- define "recast.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}
{{- define "recast.endpoint" -}}
{{- if .Values.minio.enabled }}http://{{ include "recast.name" . }}-minio.{{ .Release.Namespace }}.svc:9000
{{- else }}{{ required "storage.endpoint is needed, or minio.enabled for trying out" .Values.storage.endpoint }}{{ end }}
{{- end }}
{{- define "recast.storageSecret" -}}{{ .Values.storage.existingSecret | default (printf "%s-storage" (include "recast.name" .)) }}{{- end }}
{{- define "recast.databaseSecret" -}}{{ .Values.database.existingSecret | default (printf "%s-database" (include "recast.name" .)) }}{{- end }}
{{- define "recast.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "recast.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
{{- define "recast.pull" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- define "recast.env" -}}
- {name: RECAST_HOME, value: /tmp/recast}
- {name: RECAST_USER, value: recast}
- {name: RECAST_BACKEND, value: kubernetes}
- {name: RECAST_KUBERNETES_NAMESPACE, value: {{ include "recast.jobsNamespace" . | quote }}}
- {name: RECAST_KUBERNETES_IMAGE, value: {{ include "recast.image" . | quote }}}
- {name: RECAST_KUBERNETES_OPTIONS, value: /etc/recast/kubernetes.yaml}
- {name: RECAST_LOG, value: json}
{{- if .Values.storage.claim }}
- {name: RECAST_STORAGE, value: /reana-lite/store}
{{- else }}
- {name: RECAST_STORAGE, value: {{ printf "s3://%s/%s" .Values.storage.bucket .Values.storage.prefix | trimSuffix "/" | quote }}}
- {name: RECAST_S3_ENDPOINT, value: {{ include "recast.endpoint" . | quote }}}
- {name: RECAST_S3_REGION, value: {{ .Values.storage.region | quote }}}
{{- with .Values.storage.publicEndpoint }}
- {name: RECAST_S3_PUBLIC_ENDPOINT, value: {{ . | quote }}}
{{- end }}
- name: RECAST_S3_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ include "recast.storageSecret" . }}, key: access-key}}
- name: RECAST_S3_SECRET_KEY
  valueFrom: {secretKeyRef: {name: {{ include "recast.storageSecret" . }}, key: secret-key}}
{{- end }}
- name: RECAST_DATABASE
  valueFrom: {secretKeyRef: {name: {{ include "recast.databaseSecret" . }}, key: url}}
{{- if .Values.catalogue.claim }}
- {name: RECAST_CATALOGUE, value: /catalogue}
{{- end }}
{{- range $name, $value := .Values.extraEnv }}
- {name: {{ $name | quote }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- /* The shared volume, at the place where steps see it too; and further analyses. */ -}}
{{- define "recast.mounts" -}}
{{- with .Values.storage.claim }}
- {name: storage, mountPath: /reana-lite/store{{ with $.Values.storage.claimPath }}, subPath: {{ . | quote }}{{ end }}}
{{- end }}
{{- if .Values.catalogue.claim }}
- {name: catalogue, mountPath: /catalogue, readOnly: true}
{{- end }}
{{- end }}
{{- define "recast.volumes" -}}
{{- with .Values.storage.claim }}
- {name: storage, persistentVolumeClaim: {claimName: {{ . }}}}
{{- end }}
{{- with .Values.catalogue.claim }}
- {name: catalogue, persistentVolumeClaim: {claimName: {{ . }}, readOnly: true}}
{{- end }}
{{- end }}

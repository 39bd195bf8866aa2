package schedule

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

// dataFolder is where the volume is mounted; relative paths of the configuration are
// relative to it.
const dataFolder = "/data"

// Kubernetes returns one manifest: the configuration, the volume that holds logs,
// export, store, history and reports, and the job.
func Kubernetes(o Options) ([]File, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if len(o.After) > 0 {
		return nil, fmt.Errorf("--after: Kubernetes knows no systemd units")
	}
	zone := o.Zone
	if zone == "" {
		zone = "Etc/UTC"
	}
	file := path.Base(o.Config)
	r := strings.NewReplacer(
		"@NAME@", o.Name, "@SPACE@", o.Space, "@SIZE@", o.Size, "@IMAGE@", quoted(o.Image), "@ZONE@", quoted(zone),
		"@CRON@", quoted(o.At.cron()), "@FILE@", quoted(file), "@CONFIG@", quoted(dataFolder+"/"+file), "@DATA@", dataFolder,
		"@BODY@", block(o.Body),
	)
	return []File{{o.Name + ".yaml", r.Replace(manifest)}}, nil
}

// quoted is s as a YAML string; JSON strings are.
func quoted(s string) string {
	b, _ := json.Marshal(s) // a string always is
	return string(b)
}

// block is text as the value of a key at depth 1: as lines if it can be, so that it can
// be edited in place.
func block(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	first, _, _ := strings.Cut(text, "\n")
	odd := strings.ContainsFunc(text, func(c rune) bool {
		return c < ' ' && c != '\n' || c == 0x7f || c == 0x85 || c == 0xfeff || c == 0x2028 || c == 0x2029
	})
	if odd || text == "" || strings.HasPrefix(first, " ") || first == "" || strings.HasSuffix(text, "\n\n") {
		return quoted(text)
	}
	var b strings.Builder
	b.WriteString("|")
	if !strings.HasSuffix(text, "\n") {
		b.WriteString("-")
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		b.WriteString("\n")
		if line != "" {
			b.WriteString("    " + line)
		}
	}
	return b.String()
}

const manifest = `# The scheduled audit: kubectl apply -f @NAME@.yaml
# The volume holds everything: logs and export are brought to it by a job of your own, store,
# history and reports are written to it. Relative paths of the configuration are below @DATA@.
apiVersion: v1
kind: ConfigMap
metadata:
  name: @NAME@
  namespace: @SPACE@
data:
  @FILE@: @BODY@
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: @NAME@
  namespace: @SPACE@
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: @SIZE@
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: @NAME@
  namespace: @SPACE@
spec:
  schedule: @CRON@
  timeZone: @ZONE@
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3600
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 7
  jobTemplate:
    spec:
      # Exit 1 says that findings reached the gate: running it again finds the same. A pod
      # that was moved to another node is no failure.
      backoffLimit: 2
      podFailurePolicy:
        rules:
          - action: Ignore
            onPodConditions:
              - type: DisruptionTarget
          - action: FailJob
            onExitCodes:
              containerName: sgadvise
              operator: In
              values: [1, 2, 3, 4]
      template:
        spec:
          restartPolicy: Never
          automountServiceAccountToken: false
          securityContext:
            runAsNonRoot: true
            runAsUser: 65532
            runAsGroup: 65532
            fsGroup: 65532
            seccompProfile:
              type: RuntimeDefault
          containers:
            - name: sgadvise
              image: @IMAGE@
              args: [audit, --config, @CONFIG@]
              workingDir: @DATA@
              env:
                - name: TMPDIR
                  value: /tmp
              resources:
                requests:
                  cpu: 500m
                  memory: 512Mi
                limits:
                  memory: 4Gi
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities:
                  drop: [ALL]
              volumeMounts:
                - name: data
                  mountPath: @DATA@
                - name: config
                  mountPath: @CONFIG@
                  subPath: @FILE@
                  readOnly: true
                - name: tmp
                  mountPath: /tmp
          volumes:
            - name: data
              persistentVolumeClaim:
                claimName: @NAME@
            - name: config
              configMap:
                name: @NAME@
            - name: tmp
              emptyDir: {}
`

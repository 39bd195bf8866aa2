package cloud

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func FuzzTerraform(f *testing.F) {
	names, _ := filepath.Glob("testdata/terraform/*.json")
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(text)
		}
	}
	f.Add([]byte(`{"format_version":"1.2","terraform_version":"1","resource_changes":[{"address":"module.a[\"x\"].aws_security_group_rule.r[0]","module_address":"module.a[\"x\"]","mode":"managed","type":"aws_security_group_rule","name":"r","index":0,"change":{"actions":["create"],"after":{"type":"ingress","protocol":"tcp"},"after_unknown":{"id":true,"cidr_blocks":[true],"security_group_id":true,"from_port":true}}}],"configuration":{"root_module":{"module_calls":{"a":{"module":{"resources":[{"type":"aws_security_group_rule","name":"r","expressions":{"security_group_id":{"references":["var.x","each.value"]}}}]}}}}}}`))
	f.Add([]byte(`{"version":4,"terraform_version":"1","serial":1,"resources":[{"mode":"managed","type":"alicloud_security_group_rule","name":"r","instances":[{"index_key":"k","attributes":{"type":"egress","security_group_id":"sg-1","ip_protocol":"all","cidr_ip":"::/0"}}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, _, err := Read([]string{"-"}, Options{Stdin: bytes.NewReader(text)})
		if err != nil {
			return
		}
		roundTrip(t, s)
		over, err := Overlay(s, s)
		if err == nil {
			roundTrip(t, over)
		}
	})
}

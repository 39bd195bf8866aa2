package analyzer

// controlsFor returns the compliance controls that findings of a check are evidence
// toward, never proof of compliance. Numbers: CIS AWS Foundations Benchmark 5.0,
// AWS Foundational Security Best Practices (FSBP), PCI DSS 4.0.1, NIST SP 800-53 r5.
// Rules that depend on the port or the family add their own (see exposed.go).
func controlsFor(check string) []string { return controls[check] }

var controls = map[string][]string{
	"unused-rule":               {"PCI-DSS-1.2.5", "PCI-DSS-1.2.7", "NIST-CM-7"},
	"redundant-rule":            {"PCI-DSS-1.2.7"},
	"shadowed-rule":             {"PCI-DSS-1.2.7"},
	"duplicate-rule":            {"PCI-DSS-1.2.7"},
	"dead-reference":            {"PCI-DSS-1.2.7"},
	"unattached-group":          {"PCI-DSS-1.2.7", "EC2.22-withdrawn"},
	"wide-source":               {"PCI-DSS-1.3.1", "PCI-DSS-1.4.2", "NIST-AC-4", "NIST-SC-7(5)"},
	"wide-ports":                {"PCI-DSS-1.3.1", "PCI-DSS-1.4.2", "NIST-AC-4", "NIST-SC-7(5)", "NIST-CM-7"},
	"missing-description":       {"PCI-DSS-1.2.5"},
	"default-group-rules":       {"FSBP-EC2.2", "CIS-AWS-5.5", "NIST-AC-4", "NIST-SC-7(5)"},
	"exposed-high-risk-port":    {"FSBP-EC2.18", "FSBP-EC2.19", "PCI-DSS-1.3.1", "NIST-AC-4", "NIST-CM-7", "NIST-SC-7(5)"},
	"exposed-unauthorized-port": {"FSBP-EC2.18", "NIST-AC-4", "NIST-SC-7(5)"},
	"exposed-admin-port":        {"PCI-DSS-1.3.1", "NIST-AC-4", "NIST-SC-7(5)"},
	"acl-exposed-admin-port":    {"FSBP-EC2.21", "CIS-AWS-5.2", "PCI-DSS-1.3.1", "NIST-CM-7", "NIST-SC-7(5)"},
}

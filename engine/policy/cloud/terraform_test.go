package cloud

import "testing"

// What a state declares is what its text form says, of both clouds.
func TestTerraformStatesEqualTheirTextForm(t *testing.T) {
	for _, name := range []string{"aws-state", "alibaba-state"} {
		state := read(t, "testdata/terraform/"+name+".json")
		text := read(t, "testdata/terraform/"+name+".policy")
		if d := diff(state, text); d != "" {
			t.Errorf("%s: -state +text:\n%s", name, d)
		}
		roundTrip(t, state)
	}
}

package report

// TrendPoint is what one run of a series amounted to.
type TrendPoint struct {
	Run      Time             `json:"run"`  // the moment the run called now
	From     Time             `json:"from"` // its window
	To       Time             `json:"to"`
	Rules    int              `json:"rules"`    // declared ones
	Edits    int              `json:"edits"`    // that its plan holds
	Exposure []FamilyExposure `json:"exposure"` // at the time, and after its plan
	Findings Severities       `json:"findings"` // those that are not suppressed
	Fidelity float64          `json:"fidelity"` // from 0 to 1
	Coverage float64          `json:"coverage"` // from 0 to 1
}

// TrendOf returns what r amounts to, for the trend of later reports.
func TrendOf(r *Report) TrendPoint {
	p := TrendPoint{Run: r.Created, From: r.Window.From, To: r.Window.To, Rules: r.Summary.Rules, Edits: len(r.Plan.Edits),
		Exposure: r.Plan.Exposure.Families, Fidelity: r.Fidelity.Rate, Coverage: r.Coverage.Ratio}
	for i := range r.Findings {
		if r.Findings[i].Suppressed == nil {
			p.Findings.add(r.Findings[i].Severity)
		}
	}
	return p
}

func (s *Severities) add(severity string) {
	switch severity {
	case "critical":
		s.Critical++
	case "high":
		s.High++
	case "medium":
		s.Medium++
	case "low":
		s.Low++
	case "info":
		s.Info++
	}
}

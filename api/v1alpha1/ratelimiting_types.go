package v1alpha1

import "time"

// RateLimiting limits how often tools are called. A call takes a token of every
// bucket that applies to it; when one is empty the call is refused with 429.
//
// +kubebuilder:validation:XValidation:rule="has(self.shared) || has(self.perUser) || has(self.tools)",message="must have shared, perUser or tools; without any nothing is limited"
type RateLimiting struct {
	// Shared is one bucket for all callers together.
	// +optional
	Shared *RateBucket `json:"shared,omitempty"`
	// PerUser is a bucket for each caller. Callers who are anonymous share one.
	// +optional
	PerUser *RateBucket `json:"perUser,omitempty"`
	// Tools are further buckets for single tools, by the names that clients use.
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=name
	// +optional
	Tools []ToolRate `json:"tools,omitempty"`
}

// Concurrency limits how many calls are under way at a time. One that would be one too
// many is refused: with 503, or with 429 where it is its caller's.
//
// +kubebuilder:validation:XValidation:rule="has(self.shared) || has(self.perUser)",message="must have shared or perUser; without either nothing is limited"
type Concurrency struct {
	// Shared is how many calls of all callers together. Without it, and beside
	// other resources, it is four fifths of the gateway's places.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +optional
	Shared int32 `json:"shared,omitempty"`
	// PerUser is how many calls of each caller. Callers who are anonymous count as
	// one.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +optional
	PerUser int32 `json:"perUser,omitempty"`
}

// RateBucket is a bucket of tokens that fills again over time.
type RateBucket struct {
	// MaxTokens is how many calls can follow each other at once.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxTokens int32 `json:"maxTokens"`
	// RefillPeriod is how long an empty bucket takes to fill, like 1m or 1h30m.
	RefillPeriod Period `json:"refillPeriod"`
}

// ToolRate limits calls of one tool.
//
// +kubebuilder:validation:XValidation:rule="has(self.shared) || has(self.perUser)",message="must have shared or perUser; without either nothing is limited"
type ToolRate struct {
	// Name of the tool.
	Name ToolName `json:"name"`
	// Shared is one bucket for all callers together.
	// +optional
	Shared *RateBucket `json:"shared,omitempty"`
	// PerUser is a bucket for each caller.
	// +optional
	PerUser *RateBucket `json:"perUser,omitempty"`
}

// Period is a length of time, like 1m or 1h30m.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$`
// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="must be between 1s and 24h"
type Period string

// Duration is the period's length; 0 for one that validation would have refused.
func (p Period) Duration() time.Duration {
	d, err := time.ParseDuration(string(p))
	if err != nil {
		return 0
	}
	return d
}

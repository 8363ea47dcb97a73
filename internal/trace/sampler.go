package trace

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Sampler decides which requests are traced. The zero Sampler traces none.
type Sampler struct {
	bound    uint64 // of 63 bits of the trace id: what is below is traced
	byParent bool   // a caller's decision counts
}

// ParseSampler reads OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. Empty, they
// mean that what the caller traces is traced, and so is all that has no trace yet.
func ParseSampler(name, arg string) (Sampler, error) {
	if name == "" {
		name = "parentbased_always_on"
	}
	kind, byParent := strings.CutPrefix(name, "parentbased_")
	switch kind {
	case "always_on":
		return Ratio(1, byParent), nil
	case "always_off":
		return Ratio(0, byParent), nil
	case "traceidratio":
		if arg == "" {
			return Ratio(1, byParent), nil
		}
		ratio, err := strconv.ParseFloat(arg, 64)
		if err != nil || !(0 <= ratio && ratio <= 1) {
			return Sampler{}, fmt.Errorf("the sampling ratio %q is no number from 0 to 1", arg)
		}
		return Ratio(ratio, byParent), nil
	}
	return Sampler{}, fmt.Errorf("unknown sampler %q: use always_on, always_off, traceidratio, or one of them behind parentbased_", name)
}

// Ratio traces a share of all traces. With byParent that is of those that begin
// here; of the others the caller has decided.
func Ratio(share float64, byParent bool) Sampler {
	return Sampler{bound: uint64(share * (1 << 63)), byParent: byParent}
}

// samples decides like OpenTelemetry's own samplers do, by the trace id alone, so
// that everybody who samples at the same ratio keeps the same traces.
func (s Sampler) samples(parent Context, trace [16]byte) bool {
	if s.byParent && parent.Valid() {
		return parent.Sampled
	}
	return binary.BigEndian.Uint64(trace[8:])>>1 < s.bound
}

func putUint64(b []byte, v uint64) { binary.BigEndian.PutUint64(b, v) }

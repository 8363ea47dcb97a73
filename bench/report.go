package main

import (
	"fmt"
	"slices"
)

const baseline = "nginx"

// reportCalls prints a table per scenario and number of clients: medians over the
// rounds, and the CPU beside nginx's in the same run.
func reportCalls(results []result, o *options) {
	for _, s := range o.scenarios {
		for _, n := range o.conc {
			of := func(target string, pick func(result) float64) float64 {
				var v []float64
				for _, r := range results {
					if r.Scenario == s.name && r.Clients == n && r.Target == target && r.Calls > 0 {
						v = append(v, pick(r))
					}
				}
				return median(v)
			}
			fmt.Printf("\n### %s, %d clients\n\n", s.name, n)
			fmt.Println("| target | CPU µs/call | × nginx | calls/s | p50 µs | p99 µs | errors | other load |")
			fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|")
			cpuOf := func(r result) float64 { return r.CPU }
			base := of(baseline, cpuOf)
			if s.tls {
				base = of(baseline+"-tls", cpuOf)
			}
			for _, t := range o.targets {
				errors, measured := 0, false
				for _, r := range results {
					if r.Scenario == s.name && r.Clients == n && r.Target == t {
						errors, measured = errors+r.Errors, true
					}
				}
				if !measured {
					continue // the scenario is none of its business
				}
				used := of(t, cpuOf)
				fmt.Printf("| %s | %.1f | %s | %.0f | %.0f | %.0f | %d | %.0f %% |\n", t, used, ratio(used, base),
					of(t, func(r result) float64 { return r.CallsPerSecond }),
					of(t, func(r result) float64 { return r.P50 }), of(t, func(r result) float64 { return r.P99 }),
					errors, 100*of(t, func(r result) float64 { return r.OtherLoad }))
			}
		}
	}
}

func reportMemory(rows []memoryRow) {
	fmt.Println("\n### Memory\n\n| target | sessions | KB per idle session | KB per open stream | busy with idle streams | RSS with sessions MB | RSS at the end MB |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|")
	for _, r := range rows {
		fmt.Printf("| %s | %d | %.1f | %.1f | %.1f %% | %.1f | %.1f |\n", r.target, r.sessions, r.perSession, r.perStream, 100*r.idleBusy, r.rssIdle, r.rssAtEnd)
	}
}

// strangersRow is one target's line of the table of strangers, in MB.
type strangersRow struct {
	target, attack string
	before, peak   float64
}

func reportStrangers(rows []strangersRow) {
	fmt.Println("\n### Strangers\n\n| target | what they do | RSS before MB | RSS at most MB | filled MB |")
	fmt.Println("|---|---|--:|--:|--:|")
	for _, r := range rows {
		fmt.Printf("| %s | %s | %.1f | %.1f | %.1f |\n", r.target, r.attack, r.before, r.peak, r.peak-r.before)
	}
}

// startRow is one target's line of the start-up table, a value per start.
type startRow struct {
	target              string
	took, cpu, rss, pss []float64 // ms, ms, MB, MB
}

func reportStarts(rows []startRow) {
	fmt.Println("\n### Start-up\n\n| target | ms to the first call | CPU ms | idle RSS MB | idle PSS MB |")
	fmt.Println("|---|--:|--:|--:|--:|")
	for _, r := range rows {
		fmt.Printf("| %s | %.0f | %.0f | %.1f | %.1f |\n", r.target, median(r.took), median(r.cpu), median(r.rss), median(r.pss))
	}
}

func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", a/b)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

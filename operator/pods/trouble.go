package pods

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Trouble says why a pod does not start, as far as its node tells.
func Trouble(list []corev1.Pod) string {
	for i := range list {
		for _, c := range slices.Concat(list[i].Status.InitContainerStatuses, list[i].Status.ContainerStatuses) {
			w := c.State.Waiting
			if w == nil || w.Reason == "ContainerCreating" || w.Reason == "PodInitializing" {
				continue
			}
			return fmt.Sprintf("container %s of pod %s waits: %s: %s", c.Name, list[i].Name, w.Reason, w.Message)
		}
		for _, c := range list[i].Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				return fmt.Sprintf("pod %s has no node: %s", list[i].Name, c.Message)
			}
		}
	}
	return ""
}

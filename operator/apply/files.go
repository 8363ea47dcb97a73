package apply

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/operator/render"
)

// Files are the files that the pods of a gateway have, by ConfigMap.
func (w *Writer) Files(ctx context.Context, gw *render.Gateway) (have []map[string]string, err error) {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMapList"))
	if err := w.Client.List(ctx, &list, client.InNamespace(gw.Namespace), client.MatchingLabels(gw.Labels())); err != nil {
		return nil, fmt.Errorf("list ConfigMaps: %w", err)
	}
	for i := range list.Items {
		number, ok := strings.CutPrefix(list.Items[i].Name, gw.ObjectName()+"-")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 0 || n > 999 {
			continue
		}
		var m corev1.ConfigMap
		if err := w.Direct.Get(ctx, types.NamespacedName{Namespace: gw.Namespace, Name: list.Items[i].Name}, &m); client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("read ConfigMap %s: %w", list.Items[i].Name, err)
		}
		for len(have) <= n {
			have = append(have, nil)
		}
		have[n] = m.Data
	}
	return have, nil
}

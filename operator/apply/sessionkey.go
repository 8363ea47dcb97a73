package apply

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/operator/render"
)

// SessionKey makes the key that seals the sessions of all replicas, once: with it any pod
// goes on with a session, also through a roll-out. It is never written again.
func (w *Writer) SessionKey(ctx context.Context, owner client.Object, gw *render.Gateway) error {
	at := types.NamespacedName{Namespace: gw.Namespace, Name: gw.ObjectName()}
	have := SecretMeta()
	err := w.Client.Get(ctx, at, have)
	if err == nil {
		if !metav1.IsControlledBy(have, owner) {
			return Taken(have)
		}
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("read Secret %s: %w", at.Name, err)
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // it never fails
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: at.Name, Namespace: at.Namespace, Labels: gw.Labels(), OwnerReferences: []metav1.OwnerReference{gw.Owner}},
		Data:       map[string][]byte{render.SessionKey: []byte(base64.StdEncoding.EncodeToString(raw) + "\n")},
	}
	if gw.Shared != nil {
		_, _ = rand.Read(raw)
		s.Data[render.StoreKey] = []byte(base64.StdEncoding.EncodeToString(raw) + "\n")
	}
	w.Log.Info("create", "kind", "Secret", "namespace", s.Namespace, "name", s.Name)
	err = w.Client.Create(ctx, s, FieldOwner)
	if err != nil { // also where the cache is behind: the next look compares the owner
		return fmt.Errorf("create Secret %s: %w", s.Name, err)
	}
	return nil
}

// SecretMeta is a Secret without its values, which is what is watched.
func SecretMeta() *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	return m
}

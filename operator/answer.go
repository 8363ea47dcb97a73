package operator

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/certfile"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/operator/apply"
	"github.com/sallyport-dev/sallyport/operator/resource"
	"github.com/sallyport-dev/sallyport/operator/webhook"
)

// WebhookOptions say whether the API server may ask before it stores a change, and by
// which certificate it knows whom it asks: by files, or by one that the operator keeps.
type WebhookOptions struct {
	Listen string // "" for no webhook

	CertFile, KeyFile string // in PEM, followed when they change

	Secret        types.NamespacedName // of the authority, without files
	Configuration string               // name of the ValidatingWebhookConfiguration
}

// lookEvery is how often the webhook's certificate is looked after, if not more often.
const lookEvery = time.Minute

// answer has a manager answer the API server's questions, where that is asked for: in each
// replica, whichever works.
func (r *reconciler) answer(ctx context.Context, mgr manager.Manager, config *rest.Config) error {
	o := r.options
	if o.Webhook.Listen == "" {
		return nil
	}
	own := rest.CopyConfig(config)
	own.QPS = -1 // it waits for nobody who reconciles
	live, err := client.New(own, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("reach the API server: %w", err)
	}
	for _, k := range r.kinds { // replicas that only stand by fill their caches too
		if _, err := mgr.GetCache().GetInformer(ctx, k.object()); err != nil {
			return fmt.Errorf("watch %s: %w", k.name, err)
		}
	}
	settings, err := r.certificate(ctx, mgr, live)
	if err != nil {
		return err
	}
	server, err := webhook.NewServer(o.Webhook.Listen, settings, &webhook.Reviewer{
		Judge: r.judgement(), Cache: mgr.GetClient(), Live: live, Namespaces: o.Namespaces, Log: o.Log,
	})
	if err != nil {
		return err
	}
	o.ready = func() error {
		_, err := settings()
		return err
	}
	return mgr.Add(server)
}

// certificate are the settings of TLS by which the API server knows the webhook.
func (r *reconciler) certificate(ctx context.Context, mgr manager.Manager, live client.Client) (func() (*tls.Config, error), error) {
	o := r.options.Webhook
	if o.CertFile == "" {
		k := &webhook.Keeper{
			Client: live, Secret: o.Secret, Configuration: o.Configuration, Every: min(r.options.Resync, lookEvery),
			Owner: apply.FieldOwner, Log: r.log,
		}
		return k.TLS, mgr.Add(k)
	}
	files, err := certfile.Open(certfile.Files{Cert: o.CertFile, Key: o.KeyFile}, r.log)
	if err != nil {
		return nil, err
	}
	go files.Watch(ctx, nil)
	return func() (*tls.Config, error) { return files.TLS().GetConfigForClient(nil) }, nil
}

// judgement says of our kinds what the webhook asks.
func (r *reconciler) judgement() webhook.Judge {
	return webhook.Judge{
		New: func(name string) client.Object {
			i := slices.IndexFunc(r.kinds, func(k kind) bool { return k.name == name })
			if i < 0 {
				return nil
			}
			return r.kinds[i].object()
		},
		Spec: resource.Spec,
		Fields: func(o client.Object, field string) []string {
			if field == gatewayField {
				return gatewaysOf(o)
			}
			return []string{groupOf(o)}
		},
		Problems: func(ctx context.Context, c webhook.Cluster, obj client.Object) (manifest.Problems, manifest.Problems, error) {
			return r.onlooker(c).problems(ctx, obj)
		},
		Users: func(ctx context.Context, c webhook.Cluster, obj client.Object) ([]client.Object, error) {
			return r.onlooker(c).restOn(ctx, obj)
		},
		InUse: func(ctx context.Context, c webhook.Cluster, obj client.Object) (string, error) {
			if !isConfig(resource.Of(obj).Kind) {
				return "", nil
			}
			users, err := r.onlooker(c).usersOf(ctx, resource.Of(obj))
			if err != nil || len(users) == 0 {
				return "", err
			}
			return usedBy(users), nil
		},
	}
}

// restOn are the resources that name one, and the virtual servers of the group that it is
// in.
func (r *reconciler) restOn(ctx context.Context, obj client.Object) (all []client.Object, err error) {
	if isConfig(resource.Of(obj).Kind) {
		users, err := r.usersOf(ctx, resource.Of(obj))
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			user, err := r.get(ctx, u)
			if err != nil {
				return nil, err
			}
			if user != nil {
				all = append(all, user)
			}
		}
		return all, nil
	}
	group := groupOf(obj)
	if group == "" {
		return nil, nil
	}
	var servers v1alpha1.VirtualMCPServerList
	if err := r.client.List(ctx, &servers, client.InNamespace(obj.GetNamespace())); err != nil {
		return nil, fmt.Errorf("list VirtualMCPServer: %w", err)
	}
	for i := range servers.Items {
		if v := &servers.Items[i]; string(v.Spec.GroupRef.Name) == group {
			all = append(all, v)
		}
	}
	return all, nil
}

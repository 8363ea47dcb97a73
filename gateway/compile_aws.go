package gateway

import (
	"cmp"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// awsSTS compiles requests that are signed with keys of a role; nil with a problem.
func (c *compiler) awsSTS(o *manifest.Object, spec *v1alpha1.AWSSTS) credentialMaker {
	at := cmp.Or(string(spec.STSEndpoint), stsEndpoint(spec.Region))
	if !c.judgeAddress(o, "spec.awsSts.stsEndpoint", at, spec.AllowPrivateIPs) {
		return nil
	}
	roles := credential.Roles{Claim: string(spec.RoleClaim), Fallback: string(spec.FallbackRoleARN), SessionClaim: string(spec.SessionNameClaim)}
	for _, m := range spec.RoleMappings {
		mapping := credential.RoleMapping{Value: m.Claim, Role: string(m.RoleARN)}
		if m.Priority != nil {
			p := int(*m.Priority)
			mapping.Priority = &p
		}
		roles.Mappings = append(roles.Mappings, mapping)
	}
	return func(user backendUser) credential.Source {
		if user.transport == "sse" {
			c.problem(user.Object, "spec.externalAuthConfigRef", "signs requests of Streamable HTTP (awsSts), and the transport is sse; change one of them")
			return nil
		}
		subject, ok := c.subject(o, "spec.awsSts.subjectProviderName", string(spec.SubjectProviderName), user)
		if !ok {
			return nil
		}
		return c.keepSource(c.sourceKey(user, spec), func() credential.Source {
			return credential.NewAWS(credential.AWSConfig{
				Subject: subject,
				STS:     &credential.STS{URL: at, Client: tokenClient(at, spec.AllowPrivateIPs), Duration: time.Duration(spec.SessionDuration) * time.Second},
				Roles:   roles, Region: spec.Region, Service: spec.Service, Seen: c.outcome(user, "").Seen,
			})
		})
	}
}

// stsEndpoint is the token service of a region.
func stsEndpoint(region string) string {
	host := "sts." + region + ".amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		host += ".cn"
	}
	return "https://" + host + "/"
}

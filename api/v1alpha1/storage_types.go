package v1alpha1

import "time"

// AuthServerStorage is where an authorization server keeps sign-ins, clients and
// linked accounts. Without it they are in the store of the process (--store).
//
// +kubebuilder:validation:XValidation:rule="has(self.redis) == (has(self.type) && self.type == 'redis')",fieldPath=".redis",messageExpression="has(self.redis) ? 'belongs to type redis; set the type, or remove redis' : 'is required with type redis'"
type AuthServerStorage struct {
	// Type is memory, which ends with the process, or redis, which replicas share.
	// +kubebuilder:validation:Enum=memory;redis
	// +kubebuilder:default=memory
	// +optional
	Type string `json:"type,omitempty"`
	// Redis is the server, with type redis.
	// +optional
	Redis *RedisStorage `json:"redis,omitempty"`
}

// StorageRedis is the type of storage that replicas share.
const StorageRedis = "redis"

// RedisStorage is a Redis of version 6.2 or later.
//
// +kubebuilder:validation:XValidation:rule="has(self.addr) != has(self.sentinelConfig)",fieldPath=".addr",message="exactly one of addr and sentinelConfig must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.clusterMode) || !self.clusterMode || has(self.addr)",fieldPath=".clusterMode",message="needs addr: the address of one of the cluster's nodes"
// +kubebuilder:validation:XValidation:rule="!has(self.sentinelTls) || has(self.sentinelConfig)",fieldPath=".sentinelTls",message="needs sentinelConfig; remove one or add the other"
type RedisStorage struct {
	// Addr is the server's address, or that of one node of a cluster.
	// +optional
	Addr HostPort `json:"addr,omitempty"`
	// ClusterMode says that addr is a node of a Redis Cluster.
	// +kubebuilder:default=false
	// +optional
	ClusterMode bool `json:"clusterMode,omitempty"`
	// SentinelConfig finds the server by asking Sentinels.
	// +optional
	SentinelConfig *RedisSentinel `json:"sentinelConfig,omitempty"`
	// ACLUserConfig is the user that the gateway is at the server.
	ACLUserConfig RedisUser `json:"aclUserConfig"`
	// TLS encrypts connections to the server.
	// +optional
	TLS *RedisTLS `json:"tls,omitempty"`
	// SentinelTLS encrypts connections to the Sentinels.
	// +optional
	SentinelTLS *RedisTLS `json:"sentinelTls,omitempty"`
	// DialTimeout is how long connecting may take.
	// +kubebuilder:default="5s"
	// +optional
	DialTimeout Timeout `json:"dialTimeout,omitempty"`
	// ReadTimeout is how long an answer may take.
	// +kubebuilder:default="3s"
	// +optional
	ReadTimeout Timeout `json:"readTimeout,omitempty"`
	// WriteTimeout is how long sending may take. What holds is the longer one of
	// this and readTimeout, for an operation as a whole.
	// +kubebuilder:default="3s"
	// +optional
	WriteTimeout Timeout `json:"writeTimeout,omitempty"`
}

// RedisSentinel names the Sentinels of a server.
type RedisSentinel struct {
	// MasterName is the name by which the Sentinels know the server.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	MasterName string `json:"masterName"`
	// SentinelAddrs are the Sentinels' addresses.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	SentinelAddrs []HostPort `json:"sentinelAddrs"`
	// DB is the number of the database.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=255
	// +optional
	DB int32 `json:"db,omitempty"`

	// Not built yet. It is refused by name.

	// SentinelService names the Service of the Sentinels.
	// +kubebuilder:validation:XValidation:rule="false",message="sentinelService is not supported yet; use sentinelAddrs"
	// +optional
	SentinelService *Unbuilt `json:"sentinelService,omitempty"`
}

// RedisUser is a user of Redis (ACL).
type RedisUser struct {
	// UsernameSecretRef names the user; without it, Redis's default user.
	// +optional
	UsernameSecretRef *SecretKeyRef `json:"usernameSecretRef,omitempty"`
	// PasswordSecretRef names the user's password.
	PasswordSecretRef SecretKeyRef `json:"passwordSecretRef"`
}

// RedisTLS says how a server of Redis is known.
type RedisTLS struct {
	// CACertSecretRef names the certificates, as PEM, that the server's is checked
	// against, in place of the system's.
	// +optional
	CACertSecretRef *SecretKeyRef `json:"caCertSecretRef,omitempty"`
	// InsecureSkipVerify takes any certificate: whoever is on the way can then be the
	// server.
	// +kubebuilder:default=false
	// +optional
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// HostPort is a network address.
//
// +kubebuilder:validation:MaxLength=260
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([^\s/?#@:\[\]]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$')`,message="must be host and port, like redis.example.com:6379"
type HostPort string

// Timeout is a duration of at most a minute.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule=`self.matches('^([0-9]+(\\.[0-9]+)?(ms|s|m))+$') && duration(self) > duration('0s') && duration(self) <= duration('1m')`,message="must be a duration of at most a minute, like 3s or 500ms"
type Timeout string

// Duration is its length; 0 for one that validation would have refused.
func (t Timeout) Duration() time.Duration {
	d, err := time.ParseDuration(string(t))
	if err != nil {
		return 0
	}
	return d
}

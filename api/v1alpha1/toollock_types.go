package v1alpha1

// ToolLock holds tools to what they were when somebody looked at them.
type ToolLock struct {
	// ConfigMapRef names the ConfigMap and key that hold the lock, as sallyport lock
	// writes it.
	ConfigMapRef ToolLockRef `json:"configMapRef"`
	// Drift says what becomes of a tool that is not as it was locked: allow logs it alone;
	// quarantine hides it, and refuses calls, until the lock is written anew; deny shows
	// it, and refuses calls with the reason.
	// +kubebuilder:validation:Enum=allow;quarantine;deny
	// +kubebuilder:default=quarantine
	// +optional
	Drift string `json:"drift,omitempty"`
}

// ToolLockRef names a lock in a ConfigMap.
type ToolLockRef struct {
	// Name of the ConfigMap.
	Name ObjectName `json:"name"`
	// Key in the ConfigMap's data.
	// +kubebuilder:default="tools.lock"
	// +optional
	Key DataKey `json:"key,omitempty"`
}

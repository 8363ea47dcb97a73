package backend

const canProve = true

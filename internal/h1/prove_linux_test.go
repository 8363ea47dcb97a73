package h1

const canProve = true

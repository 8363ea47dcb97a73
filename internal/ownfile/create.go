package ownfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Create makes a file with that content, for its owner alone: whole or not at all, and
// never where something is, be it a link to nowhere. Then the error is [fs.ErrExist].
func Create(path string, content []byte) error {
	half, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(half.Name()) }()
	_, err = half.Write(content)
	if err = errors.Join(err, half.Sync(), half.Close()); err != nil {
		return err
	}
	err = os.Link(half.Name(), path) // does not follow links, and fails where something is
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return createInPlace(path, content) // a file system without hard links
}

func createInPlace(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|NoFollow, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// Rule is what is asked of a file.
type Rule uint8

// The rules. A file on a file system that is mounted read-only keeps all of them: such
// are the mounted secrets of containers, whose owner and mode are their host's matter.
const (
	Unchanged Rule = iota // nobody but its owner, who is this process or root, can write it
	Private               // and nobody else can read it
)

// Check says which part of a rule the file at path breaks, and what to do. It follows
// links: what counts is the file.
func Check(path string, rule Rule) error {
	info, err := os.Stat(path)
	if err != nil || readOnly(path) {
		return err
	}
	if uid, ok := stranger(info); ok {
		return fmt.Errorf("%s belongs to another user (%d), who could change it; run: chown %d %s", path, uid, os.Geteuid(), path)
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o022 != 0:
		return fmt.Errorf("others can write %s; run: chmod 600 %s", path, path)
	case rule == Private && mode&0o044 != 0:
		return fmt.Errorf("others can read %s; run: chmod 600 %s", path, path)
	}
	return nil
}

package native_test

import (
	"context"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

type tappedAccessKeys struct {
	directory.AccessKeyStore
	*tap
}

func (s tappedAccessKeys) Insert(ctx context.Context, k directory.AccessKey, e audit.Event) error {
	if err := s.call("accessKeys.Insert"); err != nil {
		return err
	}
	return s.AccessKeyStore.Insert(ctx, k, e)
}

func (s tappedAccessKeys) Find(ctx context.Context, p id.Project, k id.AccessKey) (directory.AccessKey, error) {
	if err := s.call("accessKeys.Find"); err != nil {
		return directory.AccessKey{}, err
	}
	return s.AccessKeyStore.Find(ctx, p, k)
}

func (s tappedAccessKeys) FindByDigest(ctx context.Context, d secret.Digest) (directory.AccessKey, error) {
	if err := s.call("accessKeys.FindByDigest"); err != nil {
		return directory.AccessKey{}, err
	}
	return s.AccessKeyStore.FindByDigest(ctx, d)
}

func (s tappedAccessKeys) Open(ctx context.Context, p id.Project, k id.AccessKey, d secret.Digest) (directory.Opened, error) {
	if err := s.call("accessKeys.Open"); err != nil {
		return directory.Opened{}, err
	}
	return s.AccessKeyStore.Open(ctx, p, k, d)
}

func (s tappedAccessKeys) List(ctx context.Context, q directory.AccessKeyQuery) ([]directory.AccessKey, id.AccessKey, error) {
	if err := s.call("accessKeys.List"); err != nil {
		return nil, id.AccessKey{}, err
	}
	return s.AccessKeyStore.List(ctx, q)
}

func (s tappedAccessKeys) Change(ctx context.Context, p id.Project, k id.AccessKey, change func(directory.AccessKey) (directory.AccessKey, []audit.Event, error)) (directory.AccessKey, error) {
	if err := s.call("accessKeys.Change"); err != nil {
		return directory.AccessKey{}, err
	}
	return s.AccessKeyStore.Change(ctx, p, k, change)
}

func (s tappedAccessKeys) Delete(ctx context.Context, p id.Project, k id.AccessKey, e audit.Event) error {
	if err := s.call("accessKeys.Delete"); err != nil {
		return err
	}
	return s.AccessKeyStore.Delete(ctx, p, k, e)
}

package native_test

import (
	"context"

	documents "github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
)

type tappedDocuments struct {
	documents.Store
	*tap
}

func (s tappedDocuments) Find(ctx context.Context, p id.Project, k documents.Kind) (documents.State, error) {
	if err := s.call("documents.Find"); err != nil {
		return documents.State{}, err
	}
	return s.Store.Find(ctx, p, k)
}

func (s tappedDocuments) Version(ctx context.Context, p id.Project, k documents.Kind, n int) (documents.Version, error) {
	if err := s.call("documents.Version"); err != nil {
		return documents.Version{}, err
	}
	return s.Store.Version(ctx, p, k, n)
}

func (s tappedDocuments) List(ctx context.Context, p id.Project, k documents.Kind, before, limit int) ([]documents.Version, error) {
	if err := s.call("documents.List"); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, p, k, before, limit)
}

func (s tappedDocuments) Change(ctx context.Context, p id.Project, k documents.Kind, step func(documents.State) (documents.Step, error)) (documents.State, error) {
	if err := s.call("documents.Change"); err != nil {
		return documents.State{}, err
	}
	return s.Store.Change(ctx, p, k, step)
}

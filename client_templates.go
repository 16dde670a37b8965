package latchkey

import (
	"context"
	"iter"
	"net/http"
	"strconv"
)

// Template returns the versions of a kind that are in use. Scope settings. CodeNotFound
// when nothing was saved.
func (c *Client) Template(ctx context.Context, k TemplateKind) (Template, error) {
	return manageCall[Template](ctx, c, http.MethodGet, nil, "templates", string(k))
}

// SaveTemplate makes a document a new version. Scope settings. CodeTemplateInvalid and
// CodeClaimsTooLarge name everything that is wrong; nothing was saved then.
func (c *Client) SaveTemplate(ctx context.Context, k TemplateKind, r TemplateRequest) (Template, error) {
	return manageCall[Template](ctx, c, http.MethodPut, r, "templates", string(k))
}

// RollOutTemplate gives the candidate to another share of the sessions; 100 makes it the
// stable version. Scope settings. CodeConflict when there is no candidate.
func (c *Client) RollOutTemplate(ctx context.Context, k TemplateKind, percent int) (Template, error) {
	return manageCall[Template](ctx, c, http.MethodPost, RolloutRequest{Percent: &percent}, "templates", string(k), "rollout")
}

// RollBackTemplate goes one step back: it drops the candidate, or, when there is none,
// makes the version before the stable one stable again. Scope settings. CodeConflict when
// there is nothing to go back to.
func (c *Client) RollBackTemplate(ctx context.Context, k TemplateKind) (Template, error) {
	return manageCall[Template](ctx, c, http.MethodPost, nil, "templates", string(k), "rollback")
}

// DeleteTemplate removes all versions of a kind. Scope settings.
func (c *Client) DeleteTemplate(ctx context.Context, k TemplateKind) error {
	return manageGone(ctx, c, "templates", string(k))
}

// PreviewTemplate returns what a document makes of a session or of somebody made up. It
// changes nothing. Scope settings.
func (c *Client) PreviewTemplate(ctx context.Context, k TemplateKind, r TemplatePreviewRequest) (TemplatePreview, error) {
	return manageRepeated[TemplatePreview](ctx, c, http.MethodPost, r, "templates", string(k), "preview")
}

// TemplateVersion returns one version. Scope settings.
func (c *Client) TemplateVersion(ctx context.Context, k TemplateKind, version int) (TemplateVersion, error) {
	return manageCall[TemplateVersion](ctx, c, http.MethodGet, nil, "templates", string(k), "versions", strconv.Itoa(version))
}

// TemplateVersions yields the versions of a kind, newest first. Scope settings. It asks
// for the next page when the one before is used up, and ends after the first error.
func (c *Client) TemplateVersions(ctx context.Context, k TemplateKind) iter.Seq2[TemplateVersion, error] {
	return each(func(p PageRequest) ([]TemplateVersion, string, error) {
		page, err := c.TemplateVersionsPage(ctx, k, p)
		return page.Versions, page.NextPageToken, err
	})
}

// TemplateVersionsPage returns one page of TemplateVersions.
func (c *Client) TemplateVersionsPage(ctx context.Context, k TemplateKind, p PageRequest) (TemplateVersionList, error) {
	return manageList[TemplateVersionList](ctx, c, p, nil, "templates", string(k), "versions")
}

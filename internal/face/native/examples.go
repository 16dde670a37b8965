package native

// examples are request bodies that work, for the document and the page.
var examples = map[string]string{
	"refreshSession":      `{"refreshToken":"rt_…"}`,
	"acknowledgeRefresh":  `{"refreshToken":"rt_…"}`,
	"logout":              `{"refreshToken":"rt_…"}`,
	"logoutOthers":        `{"refreshToken":"rt_…"}`,
	"logoutAll":           `{"refreshToken":"rt_…"}`,
	"createSession":       `{"user":"alice@example.com","amr":["pwd","totp"],"claims":{"plan":"pro"}}`,
	"changeSessionClaims": `{"claims":{"plan":"team","trial":null}}`,
	"revokeSessions":      `{"ip":"192.0.2.0/24","dryRun":true}`,
	"createUser":          `{"loginIds":["alice@example.com"],"name":"Alice","attributes":{"locale":"de"},"roles":["auditor"],"tenants":[{"tenant":"ten_01kkaj7vce4sb0m5r8t9wz2dxq","roles":["member"]}]}`,
	"changeUser":          `{"status":"disabled"}`,
	"setUserRoles":        `{"roles":["auditor"]}`,
	"setMembership":       `{"roles":["member","auditor"]}`,
	"batchUsers":          `{"create":[{"loginIds":["bob@example.com"]},{"loginIds":["carol@example.com"],"roles":["auditor"]}],"delete":["usr_01kkaj7vc8fz4ge1p7s2w6vbnj"]}`,
	"createTenant":        `{"name":"ACME Inc.","attributes":{"plan":"team"}}`,
	"changeTenant":        `{"status":"disabled"}`,
	"createRole":          `{"name":"accountant","permissions":["invoice:read"]}`,
	"changeRole":          `{"permissions":["invoice:read"]}`,
	"createPermission":    `{"name":"invoice:write","description":"Write invoices"}`,
	"describePermission":  `{"description":"See invoices of the own tenant"}`,
	"changeSettings":      `{"sessionTokenTTL":"5m","idleTimeout":"7d","onLimit":null}`,
	"dryRunSettings":      `{"absoluteTimeout":"7d","idleTimeout":"2d"}`,

	"changeTenantSettings": `{"idleTimeout":"15m","maxSessionsPerUser":1,"onLimit":null}`,
	"dryRunTenantSettings": `{"idleTimeout":"15m"}`,

	"changeProject":       `{"status":"disabled"}`,
	"deleteProject":       `{"confirm":"prj_…"}`,
	"saveTemplate":        `{"document":{"claims":{"plan":"{{ tenant.attributes.plan }}"}},"percent":10}`,
	"rollOutTemplate":     `{"percent":50}`,
	"previewTemplate":     `{"document":{"claims":{"plan":"{{ tenant.attributes.plan }}"}}}`,
	"rotateKey":           `{"immediate":false}`,
	"createWebhook":       `{"url":"https://billing.example.com/hooks","types":["user.*","session.ended"],"description":"billing"}`,
	"changeWebhook":       `{"enabled":true}`,
	"createManagementKey": `{"name":"support desk","scopes":["sessions","events"],"networks":["192.0.2.0/24"]}`,
}

package sqlite

import (
	"strings"
	"testing"
)

// TestPlans fails when a query that runs often walks through a table or sorts: an index
// would be missing, or SQLite wouldn't see it.
func TestPlans(t *testing.T) {
	s, _ := fresh(t, Options{})
	for name, sql := range map[string]string{
		"a session":              sessionByID,
		"sessions of a project":  listOfProject,
		"sessions of a user":     listOfUser,
		"sessions of a tenant":   listOfTenant,
		"count of a tenant":      countOfTenant,
		"walk along a tenant":    walkOfTenant,
		"grants of a user":       grantsOfUser,
		"the state of a tenant":  tenantState,
		"count of a project":     countOfProject,
		"count of a user":        countOfUser,
		"walk along a project":   walkOfProject,
		"walk along a user":      walkOfUser,
		"terms of a project":     termsOfProject,
		"sessions that are over": dueSessions,
		"live sessions":          sessionsOfUserRow,
		"who has a login id":     userOfLogin,
		"a user":                 userByID,
		"users":                  usersAfter,
		"users between two":      usersBetween,
		"users of a text":        userTexts().find,
		"users of a document":    userTexts().rows,
		"users to be indexed":    userTexts().ids,
		"users at a place":       holdersAfter,
		"whether there are many": holdersFrom,
		"members of a tenant":    firstMembers,
		"a tenant":               tenantByID,
		"tenants":                tenantsOfProject,
		"tenants between two":    tenantsBetween,
		"tenants of a text":      tenantTexts().find,
		"tenants of a document":  tenantTexts().rows,
		"tenants with settings":  overridesOfProject,
		"a role":                 roleByID,
		"roles of a level":       rolesOfLevel,
		"a role by name":         roleOfName,
		"roles naming something": rolesNaming,
		"roles to be looked at":  rolesBehind,
		"permissions":            permissionsAfter,
		"holders of what's gone": holdersOfLost,
		"an access key":          accessKeyByID,
		"an access key's secret": accessKeyByDigest,
		"access keys":            accessKeysOfProject,
		"access keys of a user":  accessKeysOfUser,
		"custom domains":         domainsAfter,
		"a custom domain":        domainOfAnother,
		"events of a project":    eventsOfProject,
		"events of a session":    eventsOfSession,
		"events of a user":       eventsOfUser,
		"old events":             oldEvents,
		"walk of a project":      eventsFloorOfProject,
		"walk of a session":      eventsFloorOfSession,
		"walk of a user":         eventsFloorOfUser,
		"events behind":          eventsBehind,
		"events after":           eventsAfter,
		"an event":               eventAt,
		"the last event":         lastEvent,
		"webhooks of a project":  webhooksOfProject,
		"active webhooks":        activeWebhooks,
		"a webhook":              webhookByID,
		"deliveries":             deliveriesOfWebhook,
		"due deliveries":         dueDeliveries,
		"old deliveries":         oldDeliveries,
		"its time":               timeOfLastEvent,
		"entries of all":         entriesOfAll,
		"entries of a project":   entriesOfProject,
		"old entries":            oldEntries,
		"the feed of a project":  feedOfProject,
		"documents in use":       documentsInUse,
		"a document's state":     documentState,
		"concealing documents":   concealing,
		"a document":             documentVersion,
		"versions of a document": documentList,
		"numbers of versions":    documentNumbers,
		"the largest sessions":   withClaims,
		"the newest of others":   withoutClaims,
		"the largest keys":       heaviestKeys,
	} {
		t.Run(name, func(t *testing.T) {
			q := s.queue.conn.Query("EXPLAIN QUERY PLAN " + sql)
			for q.Next() {
				for range 3 {
					q.Skip()
				}
				step := q.ReadText()
				if strings.Contains(step, "TEMP B-TREE") || strings.HasPrefix(step, "SCAN ") && !strings.Contains(step, "json_each") &&
					!strings.Contains(step, "VIRTUAL TABLE INDEX 64:M1>") { // along the matches of an index of texts
					t.Error(step)
				}
			}
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

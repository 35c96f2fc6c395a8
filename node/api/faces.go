package api

import (
	"net/http"

	"github.com/fenghuo-mesh/fenghuo/node/api/am"
	"github.com/fenghuo-mesh/fenghuo/node/api/v1"
)

// Faces lists the mounts of the node's own API and of Alertmanager's.
func Faces(own *v1.API, alertmanager *am.API) []Mount {
	return []Mount{
		{Pattern: "/v1/", Handler: own},
		{Pattern: "GET /v1/events", Handler: own, Streams: true},
		{Pattern: "GET /openapi.json", Handler: own},
		{Pattern: "GET /openapi.yaml", Handler: own},
		{Pattern: "/api/v2/", Handler: alertmanager},
	}
}

var (
	_ http.Handler = (*v1.API)(nil)
	_ http.Handler = (*am.API)(nil)
)

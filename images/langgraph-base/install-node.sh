#!/bin/sh
# What the lines of `langgraph build` call for `node_version` and `ui`.
echo "error: graphs in JavaScript and 'ui' are not supported: remove 'node_version' and 'ui' from langgraph.json" >&2
exit 1

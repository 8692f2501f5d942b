-- Each value counts once, so the time makes a new one.
local os = require("os")
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["starrocks.com/retry-upgrade-preparation"] = os.date("!%Y-%m-%dT%XZ")
return obj

package main

// The contenders' names, as the tables and charts show them.
const (
	nameGo      = "session goredis"
	nameGoTouch = "session goredis, touch at every read"
	nameGoAuto  = "session goredis, auto-pipelining"
	nameGoEach  = "session goredis, each call by itself"
	nameGoToken = "session goredis, by token"
	nameRu      = "session rueidis"
	nameRuTouch = "session rueidis, touch at every read"
	nameRuEach  = "session rueidis, each call by itself"
	nameRuCache = "session rueidis, local cache"
	nameRuToken = "session rueidis, by token"
	nameMemory  = "session memory"

	namePlainGo = "plain commands, go-redis"
	namePlainRu = "plain commands, rueidis"
	nameGuideGo = "Redis's guide, go-redis"
	nameGuideRu = "Redis's guide, rueidis"

	nameSCS         = "scs + goredisstore"
	nameSCSJSON     = "scs + goredisstore, JSON codec"
	nameGorilla     = "gorilla + redistore"
	nameFiber       = "fiber + storage/redis"
	nameSCSMemory   = "scs memory"
	nameSCSMemJSON  = "scs memory, JSON codec"
	nameFiberMemory = "fiber memory"
)

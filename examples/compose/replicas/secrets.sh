#!/bin/sh
# Makes what no repository should hold: the keys that both gateways have, and a password
# for Redis. Run it once: sh secrets.sh
set -eu
cd "$(dirname "$0")"
umask 077
mkdir secrets

openssl rand -base64 32 >secrets/store   # seals what Redis keeps
openssl rand -base64 32 >secrets/session # seals the sessions that clients hold

password=$(openssl rand -hex 32)
hash=$(printf %s "$password" | openssl dgst -sha256 -r | cut -d' ' -f1)
cat >secrets/redis.acl <<END
user default off
user sallyport on #$hash ~sallyport:* +@read +@write +@scripting +@connection +time
END
chmod 644 secrets/redis.acl # Redis is another user; this is a hash, of a password that nobody guesses

cat >.env <<END
RUN_AS=$(id -u):$(id -g)
REDIS_PASSWORD=$password
CLIENT_SECRET=
END
echo "wrote secrets/ and .env; put your provider's client secret into .env"

#!/bin/bash
# The password of the database's writing user: as given, else made once and kept.
#
#   make-password.sh GIVEN KEPT
#
# What the file GIVEN holds becomes the password, each time. Where it holds nothing, KEPT stays as it is, and is made
# where there is none. KEPT is whole or not there at all; of several that make it at once, one wins.
set -euo pipefail
given=$1 kept=$2

password=$(<"$given")
if [[ -z $password && -s $kept ]]; then
    exit 0
fi
draft=$(mktemp "$kept.XXXXXXXX")
trap 'rm -f "$draft"' EXIT
if [[ -n $password ]]; then
    printf '%s\n' "$password" > "$draft"
else
    head -c 24 /dev/urandom | base64 | tr '+/' '-_' > "$draft"
fi
# Its readers have other users than its writer. Who can see it is decided by who mounts the volume.
chmod 0444 "$draft"
if [[ -n $password ]]; then
    mv -f "$draft" "$kept"
else
    ln "$draft" "$kept" 2>/dev/null || [[ -s $kept ]]
fi

#!/bin/sh
# SPDX-License-Identifier: MIT
# rpm/stage.sh LIST BUILD DESTDIR: puts what LIST (*.files) names below DESTDIR, as the packages
# have it. Run in the root of the tree; BUILD has bin/ and lib/. VG_STRIP=1: without symbols.
set -eu
list=$1 build=$2 dest=$3

grep -v '^#' "$list" | while read -r mode source target; do
    mkdir -p "$dest$(dirname "$target")"
    built=
    case $source in B/*) source=$build/${source#B/} built=yes ;; esac
    case $mode in
        link) ln -sfn "$source" "$dest$target" ;;
        man) gzip -9nc "$source" >"$dest$target.gz" && chmod 0644 "$dest$target.gz" ;;
        *) install -m "$mode" "$source" "$dest$target" ;;
    esac
    if [ -n "$built" ] && [ -n "${VG_STRIP:-}" ]; then
        strip --strip-unneeded --remove-section=.comment "$dest$target"
    fi
done

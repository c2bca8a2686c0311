# shellcheck shell=bash
# Functions for the scripts of this directory, which source this file.

# The directory for the tools and packages that these scripts download, and for their separate builds.
# `cargo clean` removes it.
cache=$PWD/target/ci

die() {
    echo "error: $*" >&2
    exit 1
}

# as_root COMMAND…: runs the command as root. On a CI machine, the user is root, and sudo may not be
# installed.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# --- Debian packages -------------------------------------------------------------------------

apt_update() {
    as_root apt-get -qq update
}

# install_packages PACKAGE…: installs the packages that are missing.
install_packages() {
    local package missing=()
    for package in "$@"; do
        [ "$(dpkg-query -Wf '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "installing: ${missing[*]}"
    apt_update
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# Lets apt fetch arm64 packages: the kernel, busybox and Rust's aarch64 standard library.
add_arm64_packages() {
    dpkg --print-foreign-architectures | grep -qx arm64 && return
    as_root dpkg --add-architecture arm64
    apt_update
}

# download DIR PACKAGE…: downloads the .deb files into DIR. The package lists may be missing or out of date,
# so after a failure it updates them and tries again.
download() {
    local dir=$1
    shift
    mkdir -p "$dir"
    (
        cd "$dir" || exit
        # apt's sandbox user cannot write to this directory. Without this option, apt warns about that each
        # time.
        get=(apt-get -qq -o APT::Sandbox::User=root download "$@")
        "${get[@]}" 2>/dev/null || { apt_update && "${get[@]}"; }
    )
}

# unpack DIR: extracts the files of DIR/*.deb to DIR/root. Nothing is installed, so packages of another
# architecture or an older version do no harm.
unpack() {
    local deb
    for deb in "$1"/*.deb; do
        dpkg -x "$deb" "$1/root"
    done
}

# strace_from_sid: extracts Debian's newest strace to $cache/strace-sid/strace, with the C library that it
# needs. apt uses separate package lists, so nothing on the machine changes.
strace_from_sid() {
    local dir=$cache/strace-sid keys=/usr/share/keyrings/debian-archive-keyring.gpg apt loader
    [ -e "$dir/complete" ] && return
    rm -rf "$dir"
    mkdir -p "$dir/lists/partial" "$dir/archives/partial"
    echo "deb [signed-by=$keys] http://deb.debian.org/debian sid main" >"$dir/sources.list"
    apt=(apt-get -qq -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir" -o APT::Sandbox::User=root
        -o APT::Architecture=amd64 -o APT::Architectures=amd64)
    "${apt[@]}" update
    (cd "$dir" && "${apt[@]}" download strace libc6 libunwind8 liblzma5 libgcc-s1)
    unpack "$dir"
    loader=$(find "$dir/root" -name 'ld-linux-x86-64.so.2' | head -n 1)
    printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$loader" \
        "$dir/root/usr/lib/x86_64-linux-gnu" "$dir/root/usr/bin/strace" >"$dir/strace"
    chmod +x "$dir/strace"
    "$dir/strace" -V | head -n 1
    touch "$dir/complete"
}

# --- Rust from Debian ------------------------------------------------------------------------

# use_debian_rust VERSION ARCH…: points RUSTC and RUSTDOC at Debian's compiler of that version (such
# as 1.85, or '' for the newest), with a standard library for each ARCH. Debian 12's `rustc-web`
# has two versions: 1.85 in the release, and a newer one in the security updates.
use_debian_rust() {
    local version=$1 dir tool arch std=()
    dir=$cache/rust-${version:-newest}
    shift
    if [ ! -e "$dir/complete" ]; then
        rm -rf "$dir"
        for arch in "$@"; do
            std+=("libstd-rust-web-dev:$arch=$version*")
        done
        download "$dir" "rustc-web=$version*" "${std[@]}"
        # The compiler itself is in a package whose name contains its version.
        download "$dir" "$(dependency "$dir"/libstd-rust-web-dev_*_amd64.deb 'libstd-rust-web-[0-9.]+')"
        unpack "$dir"
        # LLVM is an ordinary library with dependencies of its own, so install it.
        dependency "$dir"/libstd-rust-web-[0-9]*.deb 'libllvm[0-9]+' >"$dir/llvm"
        # The extracted compiler does not find its own library. Set the library path only for the compiler.
        for tool in rustc rustdoc; do
            printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' \
                "$dir/root/usr/lib/x86_64-linux-gnu" "$dir/root/usr/bin/$tool" >"$dir/$tool"
            chmod +x "$dir/$tool"
        done
        touch "$dir/complete"
    fi
    install_packages "$(<"$dir/llvm")"
    export RUSTC=$dir/rustc RUSTDOC=$dir/rustdoc
    "$RUSTC" --version
}

# dependency DEB REGEX: prints the first dependency of the package file that matches the expression.
dependency() {
    dpkg-deb -f "$1" Depends | grep -oE "$2" | head -n 1
}

# --- Static test binaries --------------------------------------------------------------------

# static_build ARCH: sets cargo up to build static test binaries for ARCH (x86_64 or aarch64). They have their
# own target directory, so that the ordinary one needs no rebuild. A static binary runs in a guest without
# libraries. It also runs under qemu-user, where a dynamic binary with the cross libc hangs in its first
# pthread_create. The flags apply only to the target, so that build scripts and proc macros stay dynamic.
static_build() {
    target=$1-unknown-linux-gnu
    export CARGO_TARGET_DIR=$cache/$1
    export "CARGO_TARGET_${1^^}_UNKNOWN_LINUX_GNU_RUSTFLAGS=-C target-feature=+crt-static"
    unset RUSTC RUSTDOC
    if [ "$1" = aarch64 ]; then
        export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
        # Use rustup's target if .ci/install could add it, and Debian's compiler otherwise.
        [ -d "$(rustc --print target-libdir --target "$target")" ] || use_debian_rust '' amd64 arm64
    fi
}

# Reads the workspace's test targets into `targets`, one on each line: package, source file, cargo's flag.
# Then prints the caller's list `left_out` (source file -> reason), and fails if a listed file is not a test
# target.
read_targets() {
    local file
    targets=$(cargo metadata --no-deps --format-version 1 | jq -r --arg root "$PWD/" '
        .packages[] | .name as $package | .targets[] | select(.test)
        | [$package, (.src_path | ltrimstr($root)),
           {"test": "--test=\(.name)", "bin": "--bin=\(.name)"}[.kind[0]] // "--lib"]
        | @tsv')
    for file in "${!left_out[@]}"; do
        grep -qF $'\t'"$file"$'\t' <<<"$targets" || die "left-out test target does not exist: $file"
        echo "left out: $file: ${left_out[$file]}"
    done
}

packages() {
    cut -f 1 <<<"$targets" | sort -u
}

# flags_of PACKAGE: prints cargo's flags for the package's test targets, except for those left out.
flags_of() {
    local package file flag
    while IFS=$'\t' read -r package file flag; do
        if [ "$package" = "$1" ] && [ -z "${left_out[$file]+x}" ]; then echo "$flag"; fi
    done <<<"$targets"
}

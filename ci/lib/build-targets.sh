# Sourced by ci/serve and ci/python: sets up the machine and builds only what the caller needs.
#
#   build_targets NAME TARGET...   NAME stands before messages, on standard error; sets `build`
build_targets() {
  name=$1
  shift
  build=${DMRP_BUILD_DIR:-$root/build/default}
  "$root/ci/setup" --quiet >&2 || exit 255
  log=$root/build/logs/$name.log
  mkdir -p "$root/build/logs"
  if ! [ -e "$build/build.ninja" ]; then
    echo "$name: configuring" >&2
    (cd "$root" && cmake --preset default -B "$build") >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 255; }
  fi
  # -n first: when nothing is to be done, say nothing.
  case $(ninja -C "$build" -n "$@" 2>/dev/null || true) in
    *"no work to do"*) ;;
    *)
      echo "$name: building (log: $log)" >&2
      ninja -C "$build" "$@" >"$log" 2>&1 ||
        { grep -A20 -e FAILED -e error "$log" >&2 || tail -n 20 "$log" >&2; exit 255; }
      ;;
  esac
}

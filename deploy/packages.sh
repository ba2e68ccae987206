# shellcheck shell=sh
# The system's package manager, for the scripts beside this file; sourced, not run.

# One manager a line, the first that is on PATH is the machine's: name | refresh its index | install.
# apt-get: unattended upgrades hold dpkg's lock for minutes after a machine's first boot, so wait for it.
package_managers='apt-get|apt-get -q update|apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends
dnf|dnf -q makecache|dnf install -y
apk|apk update|apk add
zypper|zypper --non-interactive refresh|zypper --non-interactive install
pacman|pacman -Sy|pacman -S --noconfirm --needed'

# package_manager COLUMN: that column (1 name, 2 refresh, 3 install) of the machine's manager; fails where none is known.
package_manager() {
  echo "$package_managers" | while IFS='|' read -r name refresh install; do
    command -v "$name" >/dev/null 2>&1 || continue
    case $1 in 1) echo "$name" ;; 2) echo "$refresh" ;; 3) echo "$install" ;; esac
    break
  done | grep .
}

# install_command PACKAGE...: what a person types to install them.
install_command() {
  sudo=
  [ "$(id -u)" = 0 ] || sudo='sudo '
  if package_manager 1 >/dev/null; then
    echo "$sudo$(package_manager 2) && $sudo$(package_manager 3) $*"
  else
    echo "(no package manager that is known here: install $*)"
  fi
}

# Debian's packages start their services when they are installed. What is installed here is run by hand or by tests.
# See /usr/share/doc/init-system-helpers/README.policy-rc.d.gz; 101: not allowed.
start_policy=/usr/sbin/policy-rc.d
forbid_starting() {
  [ "$(package_manager 1)" = apt-get ] && [ ! -e "$start_policy" ] || return 0
  printf '#!/bin/sh\nexit 101\n' >"$start_policy" && chmod 755 "$start_policy" || return 0
  trap 'rm -f "$start_policy"' EXIT
}

# install_packages PACKAGE...: installs them, all output to stderr; fails where we are not root or it can't be done. No
# service is started by it.
install_packages() (
  [ "$(id -u)" = 0 ] && package_manager 1 >/dev/null || exit 1
  forbid_starting
  # Word splitting is meant: the table holds commands.
  # shellcheck disable=SC2046
  DEBIAN_FRONTEND=noninteractive LC_ALL=C sh -c "$(package_manager 2) && $(package_manager 3) \"\$@\"" install "$@" >&2 </dev/null
)

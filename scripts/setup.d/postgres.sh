# shellcheck shell=bash
setup_postgres() { :; }

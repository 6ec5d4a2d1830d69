# Builds, checks and installs gevent for Lua; `make help` lists the targets.
#
# `make` needs nothing but a compiler and the libraries, and never root. The
# targets for developers (test, demo, lint ...) first run scripts/bootstrap.sh,
# which installs what is missing, and then call make again, so that pkg-config
# is asked once everything is there. Needs GNU make 3.81 or newer.

.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory

# ---- settings, for the command line, the environment and LuaRocks -----------

PREFIX ?= /usr/local
INST_LIBDIR ?= $(PREFIX)/lib/lua/5.4
INST_LUADIR ?= $(PREFIX)/share/lua/5.4
INST_BINDIR ?= $(PREFIX)/bin
LUA_BIN ?= $(notdir $(firstword $(shell command -v lua5.4 || command -v lua)))
BUILD ?= build
CFLAGS ?= -O2 -g
WERROR ?= -Werror
PKG_CONFIG ?= pkg-config
SPEC ?=
ARGS ?=
FUZZ_TIME ?= 20
export SPEC FUZZ_TIME FUZZ_SEED FUZZ PKG_CONFIG

WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes \
  -Wconversion $(WERROR)

ifeq ($(shell uname -s),Darwin)
LIBFLAG ?= -bundle
LINK := -undefined dynamic_lookup
else
# nodelete: worker threads and signal handlers outlive a lua_close.
LIBFLAG ?= -shared
LINK := -Wl,-z,nodelete
endif

# ---- libraries --------------------------------------------------------------
# A new one is a line here, a line in scripts/bootstrap.sh and one in the
# rockspec: its pkg-config name in PKGS, its LuaRocks name in ROCKS.

PKGS := libuv libcares openssl zlib
ROCKS := LIBUV CARES OPENSSL ZLIB WSLAY
FALLBACK_LIBS := -luv -lcares -lssl -lcrypto -lz
EXTRA_LIBS := -lwslay -lpthread # have no pkg-config files

# First of the names given that pkg-config knows as a Lua 5.4.
lua_pc = $(firstword $(foreach p,$1,$(shell $(PKG_CONFIG) --exists \
  '$p >= 5.4 $p < 5.5' 2>/dev/null && echo $p)))
LUA_PC := $(call lua_pc,lua5.4 lua-5.4 lua54 lua)

# llhttp: packaged as a library, or (node-llhttp) as C files to compile along.
ifneq ($(LLHTTP_DIR),)
LLHTTP_PC :=
else
LLHTTP_PC := $(shell $(PKG_CONFIG) --exists libllhttp 2>/dev/null \
  && echo libllhttp)
endif
ifeq ($(LLHTTP_PC),)
LLHTTP_DIR ?= /usr/share/llhttp
LLHTTP_INCDIR ?= /usr/share/include/llhttp
LLHTTP_SRC := $(wildcard $(LLHTTP_DIR)/*.c)
LLHTTP_FLAGS := -DLLHTTP_STRICT_MODE=1 -isystem $(LLHTTP_INCDIR)
endif

# Headers of others come with -isystem: their warnings are not ours to fix.
pkg_cflags = $(subst -I,-isystem ,$(if $1,$(shell $(PKG_CONFIG) --cflags $1 \
  2>/dev/null)))
DEP_INCDIRS := $(filter-out /usr/include,$(foreach r,LUA $(ROCKS),$($r_INCDIR)))
DEP_FLAGS := $(addprefix -isystem ,$(DEP_INCDIRS)) $(LLHTTP_FLAGS) \
  $(call pkg_cflags,$(if $(LUA_INCDIR),,$(LUA_PC)) $(PKGS) $(LLHTTP_PC))
LLHTTP_LIBS := $(if $(LLHTTP_PC),$(shell $(PKG_CONFIG) --libs $(LLHTTP_PC)))
LIBS := $(addprefix -L,$(foreach r,$(ROCKS),$($r_LIBDIR))) $(LLHTTP_LIBS) \
  $(or $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null),$(FALLBACK_LIBS)) \
  $(EXTRA_LIBS)

# ---- the library ------------------------------------------------------------

LAYERS := base core sync io net proto
SRC := $(wildcard csrc/gevent.c $(LAYERS:%=csrc/%/*.c))
OBJ := $(SRC:csrc/%.c=$(BUILD)/obj/%.o)
LLHTTP_OBJ := $(LLHTTP_SRC:$(LLHTTP_DIR)/%.c=$(BUILD)/obj/llhttp/%.o)
CORE := $(BUILD)/gevent/_core.so

COMMON := $(CFLAGS) $(SANITIZE) -fPIC -fno-plt -fvisibility=hidden $(DEP_FLAGS)
OURS := -std=c11 -D_GNU_SOURCE $(COMMON) -Icsrc $(WARN)

.PHONY: all
all: $(CORE)  ## build build/gevent/_core.so (the default)

$(CORE): $(OBJ) $(LLHTTP_OBJ)
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(CC) $(LIBFLAG) $(LINK) $(SANITIZE) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/obj/%.o: csrc/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(CC) $(OURS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/llhttp/%.o: $(LLHTTP_DIR)/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(CC) $(COMMON) -c -o $@ $<

# Changes when the compiler or its flags do, and then all is compiled anew.
$(BUILD)/flags: FORCE | deps
	@mkdir -p $(@D)
	@echo '$(CC) $(OURS) $(LIBFLAG)' | cmp -s - $@ || \
	  echo '$(CC) $(OURS) $(LIBFLAG)' >$@

# Says which package is missing. Whoever gives LUA_INCDIR (LuaRocks does) has
# looked for Lua and libuv already.
.PHONY: deps FORCE
deps:
	@sh scripts/bootstrap.sh --check $(if $(LUA_INCDIR),llhttp,build)

-include $(OBJ:.o=.d)

# ---- C tests and fuzzers ----------------------------------------------------
# Programs of one file each against the layers that hold pure code. The linker
# takes from the archive only what a program needs, so a parser that has come
# to depend on Lua or libuv fails here with an undefined symbol.

PURE := $(BUILD)/libpure.a
FUZZ_HOST := $(BUILD)/bin/lua_host
PURE_LIBS = $(LLHTTP_LIBS) $(addprefix -L,$(ZLIB_LIBDIR) $(WSLAY_LIBDIR)) \
  $(EXTRA_LIBS) -lz
PURE_OBJ := $(filter $(BUILD)/obj/base/% $(BUILD)/obj/proto/%,$(OBJ))
C_TESTS := $(patsubst spec/c/%.c,$(BUILD)/c/%,$(wildcard spec/c/*.c))
FUZZERS := $(patsubst spec/fuzz/%.c,$(BUILD)/bin/%,$(wildcard spec/fuzz/*.c)) \
  $(patsubst spec/fuzz/lua/%.lua,$(BUILD)/bin/%_fuzz,\
  $(wildcard spec/fuzz/lua/*.lua))

$(PURE): $(PURE_OBJ) $(LLHTTP_OBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

define link_program
@mkdir -p $(@D)
@echo "  CC  $<"
@$(CC) $(OURS) $1 -MMD -MP -MF $@.d -o $@ $< $(PURE) $(PURE_LIBS) $(WITH_LUA)
endef

$(BUILD)/c/%: spec/c/%.c $(PURE) $(BUILD)/flags
	$(call link_program,)

$(BUILD)/bin/%: spec/fuzz/%.c $(PURE) $(BUILD)/flags
	$(call link_program,-fsanitize=fuzzer)

# Those written in Lua are one program, which goes by its name.
$(FUZZ_HOST): spec/fuzz/lua/host.c $(OBJ) $(LLHTTP_OBJ)
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(CC) $(OURS) -fsanitize=fuzzer -MMD -MP -MF $@.d -o $@ $^ $(LIBS) \
	  $(HOST_LIBS)

$(BUILD)/bin/%_fuzz: spec/fuzz/lua/%.lua $(FUZZ_HOST)
	@ln -f $(FUZZ_HOST) $@

$(BUILD)/bin/frozen_fuzz: WITH_LUA = $(HOST_LIBS) # its values are Lua's

# Programs with Lua states of their own, which spec/host_spec.lua runs. Where
# there is no Lua library to link with, they are left out.
HOST_LIBS := $(if $(LUA_PC),$(shell $(PKG_CONFIG) --libs $(LUA_PC)))
HOSTS := $(if $(HOST_LIBS),$(patsubst spec/host/%.c,$(BUILD)/host/%,\
  $(wildcard spec/host/*.c)))

$(BUILD)/host/%: spec/host/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(CC) $(OURS) -MMD -MP -MF $@.d -o $@ $< $(HOST_LIBS) -lpthread

-include $(C_TESTS:=.d) $(FUZZERS:=.d) $(FUZZ_HOST).d $(HOSTS:=.d)

.PHONY: testable fuzzers
testable: $(CORE) $(C_TESTS) $(HOSTS)
fuzzers: $(FUZZERS)

# ---- checks -----------------------------------------------------------------

BOOTSTRAP := sh scripts/bootstrap.sh
RUN_SPECS := sh scripts/spec.sh
# What a program needs to use the library from this directory.
HERE := LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='build/?.so;;'
SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined
SAN_CFLAGS := -O1 -g -fno-omit-frame-pointer
ASAN_BUILD = $(MAKE) BUILD=build/asan CC=gcc CFLAGS='$(SAN_CFLAGS)' \
  SANITIZE='$(SAN)' testable

.PHONY: test demo asan gc tsan valgrind fuzz soak check-all bench lint docs types
test:  ## run the specs and C tests (SPEC=name: one file; ARGS=busted options)
	@$(BOOTSTRAP) build test
	@$(MAKE) testable
	@$(RUN_SPECS) plain $(ARGS)

demo:  ## start the example web server and send it real requests
	@$(BOOTSTRAP) build demo
	@$(MAKE) all
	@$(HERE) sh scripts/demo.sh

asan:  ## run the specs under AddressSanitizer, UBSan and leak detection
	@$(BOOTSTRAP) build test asan
	+@$(ASAN_BUILD)
	@$(RUN_SPECS) asan $(ARGS)

# The last pass is the one that sees a use after a collection that came early.
gc:  ## run the specs under a hostile garbage collector, three times
	@$(BOOTSTRAP) build test asan
	@$(MAKE) testable
	GEVENT_SPEC_GC=incremental $(RUN_SPECS) plain $(ARGS)
	GEVENT_SPEC_GC=generational $(RUN_SPECS) plain $(ARGS)
	+@$(ASAN_BUILD)
	GEVENT_SPEC_GC=incremental $(RUN_SPECS) asan $(ARGS)

tsan:  ## run what uses threads under ThreadSanitizer
	@$(BOOTSTRAP) build test
	@$(MAKE) BUILD=build/tsan CC=gcc CFLAGS='$(SAN_CFLAGS)' \
	  SANITIZE='-fsanitize=thread' testable
	@sh scripts/tsan.sh

valgrind:  ## run the specs under valgrind
	@$(BOOTSTRAP) build test valgrind
	@$(MAKE) testable
	@$(RUN_SPECS) valgrind $(ARGS)

fuzz:  ## run each fuzzer for FUZZ_TIME=20 seconds
	@$(BOOTSTRAP) build fuzz
	@$(MAKE) BUILD=build/fuzz CC=clang CFLAGS='$(SAN_CFLAGS)' \
	  SANITIZE='-fsanitize=fuzzer-no-link $(SAN)' fuzzers
	@sh scripts/fuzz.sh

soak:  ## abuse a mixed service for MINUTES=1, then count what is left
	@$(BOOTSTRAP) build
	@$(MAKE) all
	@$(HERE) sh scripts/soak.sh

check-all:  ## all of these, lint and analyze in their long forms (CHECKS=...)
	@MAKE='$(MAKE)' sh scripts/check_all.sh $(CHECKS)

bench:  ## measure, beside the peers that are installed
	@$(BOOTSTRAP) build
	@$(MAKE) all
	@$(HERE) sh bench/run.sh

.PHONY: growth budget
growth:  ## measure how cost grows with connections, greenlets, timers
	@$(BOOTSTRAP) build
	@$(MAKE) all
	@sh bench/growth.sh

budget:  ## count instructions against those noted (UPDATE=1 notes them)
	@$(BOOTSTRAP) build
	@$(MAKE) all
	@UPDATE='$(UPDATE)' sh bench/budget.sh

docs:  ## write the reference of the Lua modules to build/docs
	@$(BOOTSTRAP) docs
	@mkdir -p build
	ldoc -q .

types: all  ## write types/, for the Lua language server
	@rm -f types/gevent*.lua
	$(HERE) $(LUA_BIN) scripts/types.lua

# ---- lint -------------------------------------------------------------------

LUA_DIRS := $(wildcard lua bin/gevent spec examples bench .luacheckrc config.ld)
LINT_C := $(SRC) $(wildcard spec/c/*.c spec/fuzz/*.c \
  spec/fuzz/lua/*.c spec/host/*.c)
SYNTAX = -fsyntax-only $(filter-out $(WERROR),$(OURS)) -Werror
# lint_as NAME: ends a recipe line, so that each check reports its outcome.
lint_as = && echo 'lint: $1 ok' || { echo 'lint: $1 FAILED'; exit 1; }

.PHONY: analyze lint-luacheck lint-gcc lint-clang lint-style
lint:  ## luacheck, the C warnings of gcc and clang, the house style
	@$(BOOTSTRAP) build lint
	@$(MAKE) -k lint-luacheck lint-gcc lint-style \
	  $(if $(shell command -v clang 2>/dev/null),lint-clang)

lint-luacheck:
	@luacheck -q --no-color $(LUA_DIRS) $(call lint_as,luacheck)

lint-gcc lint-clang: lint-%: deps
	@for f in $(LINT_C); do $* $(SYNTAX) $$f || bad=1; done; \
	  test -z "$$bad" $(call lint_as,$*)

analyze:  ## clang-tidy, which follows what the C may do; takes minutes
	@$(BOOTSTRAP) build analyze
	@sh scripts/analyze.sh $(SRC) -- -std=c11 -D_GNU_SOURCE $(CFLAGS) \
	  $(DEP_FLAGS) -Icsrc

lint-style:
	@sh scripts/style.sh $(call lint_as,style)

# ---- the rest ---------------------------------------------------------------

.PHONY: install deb chroot clean help
install: all  ## install to PREFIX, or INST_LUADIR, INST_LIBDIR, INST_BINDIR
	@mkdir -p '$(DESTDIR)$(INST_LIBDIR)/gevent'
	cp $(CORE) '$(DESTDIR)$(INST_LIBDIR)/gevent/'
	find lua/gevent -name '*.lua' | while read -r f; do \
	  to="$(DESTDIR)$(INST_LUADIR)/$${f#lua/}"; \
	  mkdir -p "$${to%/*}" && cp "$$f" "$$to" || exit 1; done
	@mkdir -p '$(DESTDIR)$(INST_BINDIR)'
	sed '1s|.*|#!/usr/bin/env $(LUA_BIN)|' bin/gevent \
	  >'$(DESTDIR)$(INST_BINDIR)/gevent'
	@chmod 755 '$(DESTDIR)$(INST_BINDIR)/gevent'

deb: all  ## make a Debian package of it, build/lua-gevent_*.deb
	@MAKE='$(MAKE)' sh scripts/deb.sh \
	  "$$(sed -n 's/^ *version = "\(.*\)",$$/\1/p' lua/gevent/init.lua)"

chroot:  ## try demo, test, rock and package on a fresh Debian (as root)
	@sh scripts/chroot.sh

clean:  ## remove what was built
	rm -rf build

help:  ## this list
	@awk -F ':.*## *' '/^[a-z-]+:.*## /{ printf "  %-10s %s\n", $$1, $$2 }' \
	  Makefile

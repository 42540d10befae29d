# SPDX-License-Identifier: MIT
# The dispatcher as TF-A builds it: SPD=isthmus, with this folder staged as services/spd/isthmus/ and, beside it, the
# board's header and the pieces of the core that it uses.

SPD_DIR		:=	services/spd/isthmus
SPD_INCLUDES	:=	-I${SPD_DIR} -Ilib/psci
SPD_SOURCES	:=	$(addprefix ${SPD_DIR}/,dispatcher.c normal.c secure.c switch.c priority.c registers.S entry.S lock.S own.c session.c entropy.c power.c restart.c)
NEED_BL32	:=	yes

# entry.S stands before TF-A's vector.
BL31_LDFLAGS	+=	--wrap=sync_exception_aarch64

# pen.S stands before the platform's.
BL1_SOURCES	+=	${SPD_DIR}/pen.S
BL1_LDFLAGS	+=	--wrap=plat_secondary_cold_boot_setup

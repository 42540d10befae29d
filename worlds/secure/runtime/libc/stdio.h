/* SPDX-License-Identifier: MIT */
/* stdio.h - lwIP's httpd asks for it and uses nothing of it. */

/* SPDX-License-Identifier: MIT */
/* fsdata_empty.h - httpd's table of static files: none. */
#define FS_ROOT ((const struct fsdata_file *)0)

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Puts an XDP program in the place of a global function of another one, as libxdp
 * does for its dispatcher:
 *
 *	extension OBJECT PROGRAM MAPS TARGET FUNCTION LINK
 *
 * OBJECT is a file. MAPS, a folder in bpffs, has its maps. TARGET is the path there
 * of the loaded program that has the function, LINK becomes that of the link.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void checked(const char *what, int failed)
{
	if (!failed)
		return;
	fprintf(stderr, "extension: %s: %s\n", what, strerror(errno));
	exit(1);
}

int main(int argc, char **argv)
{
	struct bpf_program *program, *other;
	struct bpf_object *object;
	struct bpf_link *link;
	struct bpf_map *map;
	char path[256];
	int target;

	if (argc != 7)
		return 2;
	target = bpf_obj_get(argv[4]);
	checked(argv[4], target < 0);
	object = bpf_object__open(argv[1]);
	checked(argv[1], !object);
	program = bpf_object__find_program_by_name(object, argv[2]);
	checked(argv[2], !program);
	bpf_object__for_each_program(other, object)
		bpf_program__set_autoload(other, other == program);
	bpf_object__for_each_map(map, object) {
		snprintf(path, sizeof(path), "%s/%s", argv[3], bpf_map__name(map));
		checked(path, bpf_map__set_pin_path(map, path));
	}
	checked("type", bpf_program__set_type(program, BPF_PROG_TYPE_EXT));
	checked("attach type", bpf_program__set_expected_attach_type(program, 0));
	checked(argv[5], bpf_program__set_attach_target(program, target, argv[5]));
	checked("load", bpf_object__load(object));
	link = bpf_program__attach_freplace(program, 0, NULL);
	checked("attach", !link);
	checked(argv[6], bpf_link__pin(link, argv[6]));
	return 0;
}

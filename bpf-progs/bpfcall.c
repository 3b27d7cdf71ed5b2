// SPDX-License-Identifier: GPL-2.0-only
/*
 * What bpftool and the like have no words for:
 *
 *	bpfcall entry MAP KEY VALUE PROGRAM
 *		a devmap's or cpumap's entry that runs a program
 *	bpfcall live PROGRAM IFINDEX REPEAT <FRAME
 *		REPEAT live frames, as if they had come in by that device
 *
 *	bpfcall syscall PROGRAM
 *		runs it once, without a context
 *
 *	bpfcall tap DEVICE wait|nowait <FRAME
 *		one frame that comes in by an existing tap, written by a call that
 *		may wait, or may not: tun has another way for each
 *
 *	bpfcall update MAP <ENTRIES
 *		writes entries into a map, each a key and its value, as bytes
 *	bpfcall dump MAP
 *		the sizes of a map's keys and values, each 32 bits, then all its
 *		entries; not of a per-CPU map
 *
 *	bpfcall zero MAPS
 *		has the observer whose maps are pinned there begin anew
 *	bpfcall await MAPS COUNT SECONDS
 *		waits until that observer has recorded COUNT, or SECONDS are over
 *	bpfcall records MAPS FROM TO SECONDS
 *		waits until TO frames are recorded, and prints "SEEN RECORDED OTHER"
 *		and the records from number FROM on, in hex, a line each; what is
 *		there also when SECONDS are over
 *
 * Maps and programs are paths in bpffs, MAPS a folder there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "skb_record.h"

#define POLL_NS 1000000

static int checked(const char *what, int ret)
{
	if (ret < 0) {
		fprintf(stderr, "bpfcall: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return ret;
}

static int bpf(const char *what, enum bpf_cmd cmd, union bpf_attr *attr)
{
	return checked(what, syscall(__NR_bpf, cmd, attr, sizeof(*attr)));
}

static int pinned(const char *path)
{
	union bpf_attr attr = { .pathname = (__u64)path };

	return bpf(path, BPF_OBJ_GET, &attr);
}

static void entry(char **argv)
{
	__u32 key = atoi(argv[1]);
	struct bpf_devmap_val value = {	/* struct bpf_cpumap_val is laid out alike */
		.ifindex = atoi(argv[2]),
		.bpf_prog.fd = pinned(argv[3]),
	};
	union bpf_attr attr = {
		.map_fd = pinned(argv[0]),
		.key = (__u64)&key,
		.value = (__u64)&value,
	};

	bpf("map update", BPF_MAP_UPDATE_ELEM, &attr);
}

static void live(char **argv)
{
	static char frame[4096];
	ssize_t len = read(STDIN_FILENO, frame, sizeof(frame));
	struct xdp_md ctx = { .data_end = len, .ingress_ifindex = atoi(argv[1]) };
	union bpf_attr attr = {
		.test.prog_fd = pinned(argv[0]),
		.test.data_in = (__u64)frame,
		.test.data_size_in = len,
		.test.ctx_in = (__u64)&ctx,
		.test.ctx_size_in = sizeof(ctx),
		.test.repeat = atoi(argv[2]),
		.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
	};

	bpf("test run", BPF_PROG_TEST_RUN, &attr);
}

static void run(char **argv)
{
	union bpf_attr attr = { .test.prog_fd = pinned(argv[0]) };

	bpf("run", BPF_PROG_TEST_RUN, &attr);
}

static void tap(char **argv)
{
	int flags = strcmp(argv[1], "nowait") ? O_RDWR : O_RDWR | O_NONBLOCK;
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	static char frame[4096];
	ssize_t len = read(STDIN_FILENO, frame, sizeof(frame));
	int fd = checked("/dev/net/tun", open("/dev/net/tun", flags));

	strncpy(request.ifr_name, argv[0], IFNAMSIZ - 1);
	checked(argv[0], ioctl(fd, TUNSETIFF, &request));
	checked("write", write(fd, frame, len));
}

struct map {
	int fd;
	size_t key_size;
	size_t value_size;
	char *entry;
};

static struct map opened(const char *path)
{
	struct map map = { .fd = pinned(path) };
	struct bpf_map_info info = {};
	union bpf_attr attr = {
		.info.bpf_fd = map.fd,
		.info.info = (__u64)&info,
		.info.info_len = sizeof(info),
	};

	bpf(path, BPF_OBJ_GET_INFO_BY_FD, &attr);
	switch (info.type) {
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		errno = EINVAL; /* a value is as long as there are CPUs */
		checked(path, -1);
	}
	map.key_size = info.key_size;
	map.value_size = info.value_size;
	map.entry = malloc(map.key_size + map.value_size);
	checked("memory", map.entry ? 0 : -1);
	return map;
}

static void update(char **argv)
{
	struct map map = opened(argv[0]);
	union bpf_attr attr = {
		.map_fd = map.fd,
		.key = (__u64)map.entry,
		.value = (__u64)map.entry + map.key_size,
	};

	while (fread(map.entry, map.key_size + map.value_size, 1, stdin))
		bpf("map update", BPF_MAP_UPDATE_ELEM, &attr);
}

static void dump(char **argv)
{
	struct map map = opened(argv[0]);
	__u32 sizes[] = { map.key_size, map.value_size };
	union bpf_attr next = { .map_fd = map.fd, .next_key = (__u64)map.entry };
	union bpf_attr attr = {
		.map_fd = map.fd,
		.key = (__u64)map.entry,
		.value = (__u64)map.entry + map.key_size,
	};

	fwrite(sizes, sizeof(sizes), 1, stdout);
	while (!syscall(__NR_bpf, BPF_MAP_GET_NEXT_KEY, &next, sizeof(next))) {
		bpf("map lookup", BPF_MAP_LOOKUP_ELEM, &attr);
		fwrite(map.entry, map.key_size + map.value_size, 1, stdout);
		next.key = (__u64)map.entry;
	}
	checked("map", errno == ENOENT ? 0 : -1);
}

static void *mapped(const char *maps, const char *name, size_t size)
{
	char path[256];
	void *at;

	snprintf(path, sizeof(path), "%s/%s", maps, name);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, pinned(path), 0);
	if (at == MAP_FAILED)
		checked(path, -1);
	return at;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static const volatile struct skb_counts *await(const char *maps, __u32 count, int seconds)
{
	const volatile struct skb_counts *counts = mapped(maps, "counts", sizeof(*counts));
	const struct timespec poll = { .tv_nsec = POLL_NS };
	double end = now() + seconds;

	while (counts->recorded < count && now() < end)
		nanosleep(&poll, NULL);
	return counts;
}

static void records(char **argv)
{
	struct skb_record *record = mapped(argv[0], "records", SKB_RECORDS * sizeof(*record));
	__u32 from = atoi(argv[1]), to = atoi(argv[2]), recorded;
	const volatile struct skb_counts *counts = await(argv[0], to, atoi(argv[3]));

	recorded = counts->recorded;
	printf("%u %u %u\n", counts->seen, recorded, counts->other);
	for (; from < recorded; from++) {
		for (size_t at = 0; at < sizeof(*record); at++)
			printf("%02x", ((unsigned char *)&record[from])[at]);
		putchar('\n');
	}
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "entry"))
		entry(argv + 2);
	else if (argc == 5 && !strcmp(argv[1], "live"))
		live(argv + 2);
	else if (argc == 3 && !strcmp(argv[1], "syscall"))
		run(argv + 2);
	else if (argc == 4 && !strcmp(argv[1], "tap"))
		tap(argv + 2);
	else if (argc == 3 && !strcmp(argv[1], "update"))
		update(argv + 2);
	else if (argc == 3 && !strcmp(argv[1], "dump"))
		dump(argv + 2);
	else if (argc == 3 && !strcmp(argv[1], "zero"))
		memset(mapped(argv[2], "counts", sizeof(struct skb_counts)), 0,
		       sizeof(struct skb_counts));
	else if (argc == 5 && !strcmp(argv[1], "await"))
		await(argv[2], atoi(argv[3]), atoi(argv[4]));
	else if (argc == 6 && !strcmp(argv[1], "records"))
		records(argv + 2);
	else
		return 2;
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames that come in by an existing tap, in batches, from vhost_net: as if a
 * virtual machine had sent them.
 *
 *	vhost DEVICE [SEGMENT] <FRAMES
 *
 * Each frame has its length in front, 16 bits in network order. SEGMENT: each is of
 * TCP over IPv4, and to be cut into segments with so many bytes each. Returns when
 * vhost_net has used all of them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define RING_SIZE 256		/* a power of 2, and the most frames that there may be */
#define BUFFER_SIZE 8192
#define TCP_START (14 + 20)	/* Ethernet, IPv4 */
#define TCP_CHECK 16
#define TX 1			/* the second of vhost_net's two queues */
#define DEADLINE_MS 5000

/* What vhost_net may read and write. */
static struct {
	struct vring_desc desc[RING_SIZE];
	struct {
		__u16 flags;
		__u16 idx;
		__u16 ring[RING_SIZE];
	} avail;
	struct {
		__u16 flags;
		__u16 idx;
		struct vring_used_elem ring[RING_SIZE];
	} used __attribute__((aligned(VRING_USED_ALIGN_SIZE)));
	struct {
		struct virtio_net_hdr header;
		__u8 frame[BUFFER_SIZE];
	} buffers[RING_SIZE];
} memory __attribute__((aligned(4096)));

static int checked(const char *what, int ret)
{
	if (ret < 0) {
		fprintf(stderr, "vhost: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return ret;
}

static int open_tap(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = checked("/dev/net/tun", open("/dev/net/tun", O_RDWR));

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	checked(name, ioctl(fd, TUNSETIFF, &request));
	return fd;
}

static const struct virtio_net_hdr gso_header = {
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	.hdr_len = TCP_START + 20,
	.csum_start = TCP_START,
	.csum_offset = TCP_CHECK,
};

static int read_frames(int segment)
{
	struct vring_desc *desc = memory.desc;
	int frames = 0;
	__u16 len;

	while (fread(&len, sizeof(len), 1, stdin) == 1) {
		len = ntohs(len);
		if (frames == RING_SIZE || len > BUFFER_SIZE ||
		    fread(memory.buffers[frames].frame, len, 1, stdin) != 1) {
			fprintf(stderr, "vhost: not frames\n");
			exit(1);
		}
		if (segment) {
			memory.buffers[frames].header = gso_header;
			memory.buffers[frames].header.gso_size = segment;
		}
		desc->addr = (uintptr_t)&memory.buffers[frames];
		desc->len = sizeof(struct virtio_net_hdr) + len;
		memory.avail.ring[frames] = frames;
		frames++;
		desc++;
	}
	return frames;
}

/* Addresses of the guest's are ours; the header is tun's, vhost_net adds none. */
static int start(int tap)
{
	struct {
		struct vhost_memory table;
		struct vhost_memory_region region;
	} table = {
		.table.nregions = 1,
		.region.guest_phys_addr = (uintptr_t)&memory,
		.region.userspace_addr = (uintptr_t)&memory,
		.region.memory_size = sizeof(memory),
	};
	struct vhost_vring_addr addresses = {
		.index = TX,
		.desc_user_addr = (uintptr_t)memory.desc,
		.avail_user_addr = (uintptr_t)&memory.avail,
		.used_user_addr = (uintptr_t)&memory.used,
	};
	struct vhost_vring_state size = { .index = TX, .num = RING_SIZE };
	struct vhost_vring_state base = { .index = TX };
	struct vhost_vring_file kick = { .index = TX, .fd = eventfd(0, 0) };
	struct vhost_vring_file backend = { .index = TX, .fd = tap };
	int fd = checked("/dev/vhost-net", open("/dev/vhost-net", O_RDWR));
	__u64 features = 0;

	checked("owner", ioctl(fd, VHOST_SET_OWNER));
	checked("features", ioctl(fd, VHOST_SET_FEATURES, &features));
	checked("memory", ioctl(fd, VHOST_SET_MEM_TABLE, &table));
	checked("ring size", ioctl(fd, VHOST_SET_VRING_NUM, &size));
	checked("ring base", ioctl(fd, VHOST_SET_VRING_BASE, &base));
	checked("ring", ioctl(fd, VHOST_SET_VRING_ADDR, &addresses));
	checked("kick", ioctl(fd, VHOST_SET_VRING_KICK, &kick));
	checked("backend", ioctl(fd, VHOST_NET_SET_BACKEND, &backend));
	return kick.fd;
}

int main(int argc, char **argv)
{
	int frames, kick, waited;
	__u64 one = 1;

	if (argc != 2 && argc != 3)
		return 2;
	frames = read_frames(argc == 3 ? atoi(argv[2]) : 0);
	kick = start(open_tap(argv[1]));
	__atomic_store_n(&memory.avail.idx, frames, __ATOMIC_RELEASE);
	checked("kick", write(kick, &one, sizeof(one)));
	for (waited = 0; waited < DEADLINE_MS; waited++) {
		if (__atomic_load_n(&memory.used.idx, __ATOMIC_ACQUIRE) == frames)
			return 0;
		usleep(1000);
	}
	fprintf(stderr, "vhost: %d of %d frames used\n", memory.used.idx, frames);
	return 1;
}

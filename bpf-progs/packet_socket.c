// SPDX-License-Identifier: GPL-2.0-only
/*
 * A packet socket on a device, as tcpdump has one:
 *
 *	packet_socket DEVICE		reads nothing, and has a clone of each skb
 *	packet_socket DEVICE FILE	has a ring, and asks for hardware timestamps
 *
 * Returns when it is there, and lives on in the background. The ring's one writes
 * a line for each packet to FILE: both MAC addresses as they come, in hex, and the
 * timestamp in nanoseconds, 0 if it has none.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_SIZE 2048
#define FRAMES 64

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *ring(int fd)
{
	int version = TPACKET_V2, stamps = SOF_TIMESTAMPING_RAW_HARDWARE;
	struct tpacket_req wanted = {
		.tp_block_size = FRAME_SIZE * FRAMES,
		.tp_block_nr = 1,
		.tp_frame_size = FRAME_SIZE,
		.tp_frame_nr = FRAMES,
	};
	void *mapped;

	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_TIMESTAMP, &stamps, sizeof(stamps)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &wanted, sizeof(wanted)))
		die("packet_socket: setsockopt");
	mapped = mmap(NULL, wanted.tp_block_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		die("packet_socket: mmap");
	return mapped;
}

static void tell(int fd, volatile struct tpacket2_hdr *frame, FILE *file)
{
	struct pollfd arrived = { .fd = fd, .events = POLLIN };
	unsigned long long ns = 0;
	const unsigned char *data;
	int i;

	while (!(frame->tp_status & TP_STATUS_USER))
		poll(&arrived, 1, -1);
	data = (const unsigned char *)frame + frame->tp_mac;
	for (i = 0; i < 2 * ETH_ALEN; i++)
		fprintf(file, "%02x", data[i]);
	/* Without one the kernel gives the time of the arrival, and does not say so. */
	if (frame->tp_status & TP_STATUS_TS_RAW_HARDWARE)
		ns = frame->tp_sec * 1000000000ULL + frame->tp_nsec;
	fprintf(file, " %llu\n", ns);
	fflush(file);
	__sync_synchronize();
	frame->tp_status = TP_STATUS_KERNEL;
}

int main(int argc, char **argv)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	void *frames = NULL;
	FILE *file;
	int i;

	if (argc != 2 && argc != 3)
		return 2;
	if (argc == 3) {
		file = fopen(argv[2], "w");
		if (!file)
			die(argv[2]);
		frames = ring(fd);
	}
	address.sll_ifindex = if_nametoindex(argv[1]);
	if (!address.sll_ifindex ||
	    bind(fd, (void *)&address, sizeof(address)))
		die("packet_socket");
	if (fork())
		return 0;
	/* Else the shell that called waits for them to be closed. */
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	for (i = 0; frames; i = (i + 1) % FRAMES)
		tell(fd, frames + i * FRAME_SIZE, file);
	pause();
}

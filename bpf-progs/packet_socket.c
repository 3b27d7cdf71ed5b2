// SPDX-License-Identifier: GPL-2.0-only
/*
 * A packet socket on a device, as tcpdump has one:
 *
 *	packet_socket DEVICE		reads nothing, and has a clone of each skb
 *	packet_socket DEVICE FILE	has a ring, and asks for hardware timestamps
 *
 * Returns when it is there, and lives on in the background. The ring's one writes
 * the timestamp of the first packet to FILE, in nanoseconds; 0 if it has none.
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
#define FRAMES 2 /* to a block, which is a page */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct tpacket2_hdr *ring(int fd)
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

static void tell(int fd, const volatile struct tpacket2_hdr *first, const char *name)
{
	struct pollfd arrived = { .fd = fd, .events = POLLIN };
	unsigned long long ns = 0;
	FILE *file;

	while (!(first->tp_status & TP_STATUS_USER))
		poll(&arrived, 1, -1);
	/* Without one the kernel gives the time of the arrival, and does not say so. */
	if (first->tp_status & TP_STATUS_TS_RAW_HARDWARE)
		ns = first->tp_sec * 1000000000ULL + first->tp_nsec;
	file = fopen(name, "w");
	if (!file)
		die(name);
	fprintf(file, "%llu\n", ns);
	fclose(file);
}

int main(int argc, char **argv)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	struct tpacket2_hdr *first = NULL;

	if (argc != 2 && argc != 3)
		return 2;
	if (argc == 3) {
		unlink(argv[2]);
		first = ring(fd);
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
	if (first)
		tell(fd, first, argv[2]);
	pause();
}

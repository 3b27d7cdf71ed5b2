// SPDX-License-Identifier: GPL-2.0-only
/*
 * A packet socket on a device, as tcpdump has one, that reads nothing:
 *
 *	packet_socket DEVICE
 *
 * Returns when it is there. It lives on in the background, with a clone of each skb.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (argc != 2)
		return 2;
	address.sll_ifindex = if_nametoindex(argv[1]);
	if (!address.sll_ifindex ||
	    bind(fd, (void *)&address, sizeof(address))) {
		perror("packet_socket");
		return 1;
	}
	if (fork())
		return 0;
	/* Else the shell that called waits for them to be closed. */
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	pause();
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the host's ip and tc have no words for:
 *
 *	link keep DEVICE [0|1]
 *		sets IFLA_SKB_KV_KEEP, or prints it
 *	link create DEVICE 0|1
 *		makes a dummy device that has it from the beginning
 *	link l2-miss DEVICE
 *		adds a filter that asks whether a bridge knew the receiver of a packet:
 *		as long as there is one, TC gives skbs an extension
 *	link netkit DEVICE INDEX PEER
 *		makes a pair of netkit devices
 *
 * Prints the error's number and fails if the kernel refuses.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SKB_KV_KEEP 66	/* IFLA_SKB_KV_KEEP of this base */
#define FLOWER_L2_MISS 106	/* TCA_FLOWER_L2_MISS; the host's headers may lack it */
#define L2_MISS_PREFERENCE 9	/* behind other filters */
#define NETKIT_PEER_INFO 1	/* IFLA_NETKIT_PEER_INFO; the host's headers may lack it */

static struct {
	struct nlmsghdr header;
	union {
		struct ifinfomsg info;
		struct tcmsg tc;
	};
	char attributes[512];
} request;

static char answer[32768];

static void *end(void)
{
	return (char *)&request + NLMSG_ALIGN(request.header.nlmsg_len);
}

static struct rtattr *begin(int type)
{
	struct rtattr *nest = end();

	nest->rta_type = type;
	request.header.nlmsg_len = (char *)nest + RTA_LENGTH(0) - (char *)&request;
	return nest;
}

static void close_nest(struct rtattr *nest)
{
	nest->rta_len = (char *)end() - (char *)nest;
}

static void put(int type, const void *data, int size)
{
	struct rtattr *attribute = begin(type);

	memcpy(RTA_DATA(attribute), data, size);
	attribute->rta_len = RTA_LENGTH(size);
	request.header.nlmsg_len += RTA_ALIGN(size);
}

/* Sends the request; returns the answer, or ends with the error. */
static struct nlmsghdr *talk(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct nlmsghdr *header = (void *)answer;
	struct nlmsgerr *error = NLMSG_DATA(header);
	int failed = 0;

	if (fd < 0 || send(fd, &request, request.header.nlmsg_len, 0) < 0 ||
	    recv(fd, answer, sizeof(answer), 0) < 0)
		failed = errno;
	else if (header->nlmsg_type == NLMSG_ERROR)
		failed = -error->error;
	close(fd);
	if (failed) {
		printf("%d\n", failed);
		exit(1);
	}
	return header;
}

static void start(int type, int flags, const char *device)
{
	request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.info));
	request.header.nlmsg_type = type;
	request.header.nlmsg_flags = NLM_F_REQUEST | flags;
	request.info.ifi_index = device ? if_nametoindex(device) : 0;
}

static void keep(int argc, char **argv)
{
	struct nlmsghdr *header;
	struct rtattr *attribute;
	int left;

	if (argc == 2) {
		__u8 value = atoi(argv[1]);

		start(RTM_SETLINK, NLM_F_ACK, argv[0]);
		put(SKB_KV_KEEP, &value, sizeof(value));
		talk();
		return;
	}
	start(RTM_GETLINK, 0, argv[0]);
	header = talk();
	attribute = IFLA_RTA(NLMSG_DATA(header));
	for (left = IFLA_PAYLOAD(header); RTA_OK(attribute, left);
	     attribute = RTA_NEXT(attribute, left))
		if (attribute->rta_type == SKB_KV_KEEP)
			printf("%d\n", *(__u8 *)RTA_DATA(attribute));
}

/* Leaves the nest of what the kind wants open. */
static struct rtattr *start_new(const char *device, int index, const char *kind)
{
	struct rtattr *info;

	start(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, NULL);
	request.info.ifi_index = index;
	put(IFLA_IFNAME, device, strlen(device) + 1);
	info = begin(IFLA_LINKINFO);
	put(IFLA_INFO_KIND, kind, strlen(kind));
	return info;
}

static void create(char **argv)
{
	__u8 value = atoi(argv[1]);

	close_nest(start_new(argv[0], 0, "dummy"));
	put(SKB_KV_KEEP, &value, sizeof(value));
	talk();
}

static void l2_miss(const char *device)
{
	struct rtattr *options;
	__u8 value = 1;

	request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.tc));
	request.header.nlmsg_type = RTM_NEWTFILTER;
	request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	request.tc.tcm_ifindex = if_nametoindex(device);
	request.tc.tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
	request.tc.tcm_info = TC_H_MAKE(L2_MISS_PREFERENCE << 16, htons(ETH_P_ALL));
	put(TCA_KIND, "flower", 7);
	options = begin(TCA_OPTIONS);
	put(FLOWER_L2_MISS, &value, sizeof(value));
	close_nest(options);
	talk();
}

static void netkit(char **argv)
{
	struct ifinfomsg none = { .ifi_family = AF_UNSPEC };
	struct rtattr *info, *data, *peer;

	info = start_new(argv[0], atoi(argv[1]), "netkit");
	data = begin(IFLA_INFO_DATA);
	peer = begin(NETKIT_PEER_INFO);
	memcpy(end(), &none, sizeof(none));
	request.header.nlmsg_len += sizeof(none);
	put(IFLA_IFNAME, argv[2], strlen(argv[2]) + 1);
	close_nest(peer);
	close_nest(data);
	close_nest(info);
	talk();
}

int main(int argc, char **argv)
{
	if (argc >= 3 && argc <= 4 && !strcmp(argv[1], "keep"))
		keep(argc - 2, argv + 2);
	else if (argc == 3 && !strcmp(argv[1], "l2-miss"))
		l2_miss(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "create"))
		create(argv + 2);
	else if (argc == 5 && !strcmp(argv[1], "netkit"))
		netkit(argv + 2);
	else
		return 2;
	return 0;
}

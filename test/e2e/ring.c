/* ring HOST PORT connect|send: asks io_uring, and no other system call, to connect to an IPv4 address or to send it a
   DNS question by UDP. */
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int count, char **words) {
  if (count != 4) return 2;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
  inet_pton(AF_INET, words[1], &to.sin_addr);
  int sending = strcmp(words[3], "send") == 0;
  int sock = socket(AF_INET, sending ? SOCK_DGRAM : SOCK_STREAM, 0);

  struct io_uring_params params = {0};
  int ring = syscall(SYS_io_uring_setup, 4, &params);
  if (ring < 0) return perror("io_uring_setup"), 3;
  char *queue = mmap(0, params.sq_off.array + params.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                     ring, IORING_OFF_SQ_RING);
  struct io_uring_sqe *entries = mmap(0, params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);

  char question[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04ring\x07" "example\x00\x00\x01\x00\x01";
  struct iovec data = {question, sizeof question - 1};
  struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &data, .msg_iovlen = 1};
  struct io_uring_sqe *entry = &entries[0];
  memset(entry, 0, sizeof *entry);
  entry->opcode = sending ? IORING_OP_SENDMSG : IORING_OP_CONNECT;
  entry->fd = sock;
  entry->addr = sending ? (uintptr_t)&message : (uintptr_t)&to;
  if (sending) entry->len = 1;
  else entry->off = sizeof to;

  ((unsigned *)(queue + params.sq_off.array))[0] = 0;
  __atomic_store_n((unsigned *)(queue + params.sq_off.tail), 1, __ATOMIC_RELEASE);
  return syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) < 0;
}

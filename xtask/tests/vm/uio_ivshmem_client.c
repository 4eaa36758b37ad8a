/*
 * A program for the uio_ivshmem driver: map 0 of /dev/uioN is the registers, map 1 the memory, and a read of 4 bytes
 * blocks until an interrupt and returns the count. It uses nothing else of a driver, neither names nor other maps.
 *
 *   uio_ivshmem_client /dev/uioN COMMAND...
 *
 * Commands run in order, one line of output each:
 *   id                own id
 *   size              bytes of the memory
 *   ring PEER VECTOR  write the doorbell register
 *   wait              block until an interrupt
 *   put OFFSET VALUE  write a 32-bit word of the memory
 *   get OFFSET        read one
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { IV_POSITION = 8 / 4, DOORBELL = 12 / 4 };

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static size_t memory_size(const char *device)
{
	char path[128];
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/uio/%s/maps/map1/size", device + strlen("/dev/"));
	file = fopen(path, "r");
	if (!file || fscanf(file, "%zx", &size) != 1)
		size = 0;
	if (file)
		fclose(file);
	return size;
}

int main(int count, char **words)
{
	const char *device = count > 2 ? words[1] : "";
	int fd = open(device, O_RDWR);
	size_t size = memory_size(device);
	volatile uint32_t *registers, *memory;
	uint32_t total;
	int i;

	if (fd < 0)
		return fail(device);
	registers = mmap(NULL, 256, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0 * getpagesize());
	if (registers == MAP_FAILED)
		return fail("registers");
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 1 * getpagesize());
	if (memory == MAP_FAILED)
		return fail("memory");

#define NUMBER(n) strtoul(i + (n) < count ? words[i + (n)] : "", NULL, 0)
	for (i = 2; i < count; i++) {
		if (!strcmp(words[i], "id")) {
			printf("id %u\n", registers[IV_POSITION]);
		} else if (!strcmp(words[i], "size")) {
			printf("size %zu\n", size);
		} else if (!strcmp(words[i], "ring")) {
			registers[DOORBELL] = NUMBER(1) << 16 | NUMBER(2);
			printf("rang %lu %lu\n", NUMBER(1), NUMBER(2));
			i += 2;
		} else if (!strcmp(words[i], "wait")) {
			fflush(stdout);
			if (read(fd, &total, sizeof(total)) != sizeof(total))
				return fail("read");
			printf("interrupts %u\n", total);
		} else if (!strcmp(words[i], "put")) {
			memory[NUMBER(1) / 4] = NUMBER(2);
			printf("put %lu\n", NUMBER(2));
			i += 2;
		} else if (!strcmp(words[i], "get")) {
			printf("got %u\n", memory[NUMBER(1) / 4]);
			i += 1;
		} else {
			return 2;
		}
	}
	return 0;
}

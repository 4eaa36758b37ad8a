// SPDX-License-Identifier: GPL-2.0-only
/*
 * uio_pci_msix - user space takes the MSI-X vectors of a PCI device through UIO
 *
 * What uio_pci_generic is to INTx, this is to MSI-X: each vector becomes one
 * /dev/uioN named uio_pci_msix-v<vector>. read() blocks until the vector has
 * fired and returns how often it fired since the driver was bound. Every one of
 * these devices offers the same maps:
 *
 *   map0  "registers": BAR 0, uncached, with the doorbell register
 *   map1  "memory": BAR 2. If it is prefetchable it has the memory type that the
 *         platform gives to normal memory at that address: write-back above
 *         4 GiB, where firmware declares the hole below 4 GiB uncachable
 *   map2  "stamps": when and how often each vector fired, read-only
 *
 * map0 and map1 are those of uio_ivshmem, so its programs run unchanged. The UIO
 * core lists maps up to the first empty one, so without BAR 2 the stamps are map1.
 *
 * A device without MSI-X but with an interrupt pin gets one such /dev/uioN. Its
 * line is shared and level-triggered, so each interrupt disables the pin in the
 * command register; write() of 1 enables it again, of 0 disables it.
 *
 * The driver names no devices. It binds what it is told to bind:
 *
 *   echo uio_pci_msix > /sys/bus/pci/devices/0000:00:03.0/driver_override
 *   echo 0000:00:03.0 > /sys/bus/pci/drivers/uio_pci_msix/bind
 *
 * Bus mastering is on before the vectors are: a device that rings without it
 * loses the interrupt for good. The BARs are mapped but not requested, because
 * requesting them shuts out the sysfs resource files that other tools use.
 */

#include <linux/atomic.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uio_driver.h>
#include <linux/version.h>

#include <asm/tsc.h>

#define DRIVER_NAME	"uio_pci_msix"
#define DRIVER_VERSION	"2"

/* The name since Linux 6.8; the old one is gone in newer ones. */
#ifndef PCI_IRQ_INTX
#define PCI_IRQ_INTX	PCI_IRQ_LEGACY
#endif

/* ivshmem's doorbell has eight bits for the vector. */
#define MAX_VECTORS	256

enum { MAP_REGISTERS, MAP_MEMORY, MAP_STAMPS };

enum { BAR_REGISTERS = 0, BAR_MEMORY = 2 };

/**
 * struct stamp - one vector's record in the stamp page, a cache line of its own
 * @tsc: time stamp counter when the handler was entered the last time
 * @count: how often the handler ran; its low 32 bits are what read() returns
 * @reserved: zero
 *
 * There is one writer, the handler, which stores @count last. A reader takes
 * @count, @tsc and @count again, and has a pair when both counts agree.
 */
struct stamp {
	u64 tsc;
	u64 count;
	u64 reserved[6];
};

#define STAMPS_PER_PAGE	(PAGE_SIZE / sizeof(struct stamp))
#define MAX_STAMP_PAGES	DIV_ROUND_UP(MAX_VECTORS, STAMPS_PER_PAGE)

struct msix_dev;

struct msix_vector {
	struct uio_info info;
	struct msix_dev *dev;
	struct stamp *stamp;
	int irq;
	char name[32];
	char irq_name[64];	/* with the device's address, for /proc/interrupts */
};

struct msix_dev {
	struct pci_dev *pdev;
	struct page *stamps[MAX_STAMP_PAGES];
	unsigned int stamp_pages;
	unsigned int ready;	/* vectors that are registered */
	unsigned int count;	/* vectors that are allocated */
	bool intx;		/* the one vector is the interrupt pin */
	struct mutex pin_lock;	/* the pin's state and @gone */
	bool gone;		/* the pin must stay off */
	struct msix_vector vectors[];
};

static unsigned int vectors;
module_param(vectors, uint, 0444);
MODULE_PARM_DESC(vectors, "MSI-X vectors to take per device (0: all it has)");

static bool move_bar2;
module_param(move_bar2, bool, 0444);
MODULE_PARM_DESC(move_bar2, "move BAR 2 above 4 GiB, where it can be mapped write-back");

static bool has_memory_bar(struct pci_dev *pdev, int bar)
{
	return pci_resource_flags(pdev, bar) & IORESOURCE_MEM &&
	       pci_resource_len(pdev, bar);
}

static bool above_4g(struct pci_dev *pdev, int bar)
{
	return upper_32_bits(pci_resource_start(pdev, bar)) != 0;
}

/* Without BAR 2 the stamps take its place. */
static unsigned int stamp_map(struct pci_dev *pdev)
{
	return has_memory_bar(pdev, BAR_MEMORY) ? MAP_STAMPS : MAP_MEMORY;
}

/* What the map of this index holds: MAP_REGISTERS, MAP_MEMORY or MAP_STAMPS. */
static unsigned long map_content(struct msix_dev *dev, unsigned long index)
{
	return index == stamp_map(dev->pdev) ? MAP_STAMPS : index;
}

static void report_event(struct msix_vector *vector, u64 now)
{
	struct stamp *stamp = vector->stamp;

	WRITE_ONCE(stamp->tsc, now);
	/* Whoever reads this count finds its stamp, or a later one. */
	smp_store_release(&stamp->count, stamp->count + 1);
	uio_event_notify(&vector->info);
}

/*
 * The interrupt is requested here and not by the UIO core: since Linux 6.10 the
 * core wakes readers from a thread of its own, one scheduling later.
 */
static irqreturn_t msix_interrupt(int irq, void *cookie)
{
	u64 now = rdtsc_ordered();

	report_event(cookie, now);
	return IRQ_HANDLED;
}

/* Only user space knows how to silence the device, so the pin is disabled. */
static irqreturn_t intx_interrupt(int irq, void *cookie)
{
	u64 now = rdtsc_ordered();
	struct msix_vector *vector = cookie;

	if (!pci_check_and_mask_intx(vector->dev->pdev))
		return IRQ_NONE;
	report_event(vector, now);
	return IRQ_HANDLED;
}

static int intx_irqcontrol(struct uio_info *info, s32 on)
{
	struct msix_vector *vector = info->priv;
	struct msix_dev *dev = vector->dev;
	int err = 0;

	mutex_lock(&dev->pin_lock);
	if (dev->gone)
		err = -EIO;
	else
		pci_intx(dev->pdev, !!on);
	mutex_unlock(&dev->pin_lock);
	return err;
}

static unsigned long bar_pfn(struct msix_dev *dev, int bar)
{
	return pci_resource_start(dev->pdev, bar) >> PAGE_SHIFT;
}

/* Memory that is not prefetchable has side effects, and is never cached. */
static bool may_be_cached(struct pci_dev *pdev)
{
	return pci_resource_flags(pdev, BAR_MEMORY) & IORESOURCE_PREFETCH;
}

static pgprot_t memory_protection(struct pci_dev *pdev, pgprot_t normal)
{
	return may_be_cached(pdev) ? normal : pgprot_noncached(normal);
}

/*
 * The UIO core has checked that the map exists and that the length fits it, and
 * holds the lock that keeps the device from going away.
 *
 * The stamp pages are inserted with a reference each, so a mapping stays readable
 * after the device is unbound. A mapping that could be written, now or after an
 * mprotect(), is refused: stamps are evidence.
 */
#ifdef UIO_HAS_MMAP_PREPARE
static int msix_mmap_prepare(struct uio_info *info, struct vm_area_desc *desc)
{
	struct msix_vector *vector = info->priv;
	struct msix_dev *dev = vector->dev;

	if (!vma_desc_test(desc, VMA_SHARED_BIT))
		return -EINVAL;

	switch (map_content(dev, desc->pgoff)) {
	case MAP_REGISTERS:
		desc->page_prot = pgprot_noncached(desc->page_prot);
		mmap_action_remap_full(desc, bar_pfn(dev, BAR_REGISTERS));
		return 0;
	case MAP_MEMORY:
		desc->page_prot = memory_protection(dev->pdev, desc->page_prot);
		mmap_action_remap_full(desc, bar_pfn(dev, BAR_MEMORY));
		return 0;
	case MAP_STAMPS:
		if (vma_desc_test(desc, VMA_WRITE_BIT))
			return -EACCES;
		vma_desc_clear_flags(desc, VMA_MAYWRITE_BIT);
		mmap_action_map_kernel_pages_full(desc, dev->stamps);
		return 0;
	default:
		return -EINVAL;
	}
}
#else
static int map_bar(struct msix_dev *dev, int bar, struct vm_area_struct *vma,
		   pgprot_t protection)
{
	return remap_pfn_range(vma, vma->vm_start, bar_pfn(dev, bar),
			       vma->vm_end - vma->vm_start, protection);
}

static int map_stamps(struct msix_dev *dev, struct vm_area_struct *vma)
{
	unsigned long pages = vma_pages(vma);
	unsigned long i;
	int err;

	if (vma->vm_flags & VM_WRITE)
		return -EACCES;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_clear(vma, VM_MAYWRITE);
#else
	vma->vm_flags &= ~VM_MAYWRITE;
#endif
	for (i = 0; i < pages; i++) {
		err = vm_insert_page(vma, vma->vm_start + i * PAGE_SIZE,
				     dev->stamps[i]);
		if (err)
			return err;
	}
	return 0;
}

static int msix_mmap(struct uio_info *info, struct vm_area_struct *vma)
{
	struct msix_vector *vector = info->priv;
	struct msix_dev *dev = vector->dev;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;

	switch (map_content(dev, vma->vm_pgoff)) {
	case MAP_REGISTERS:
		return map_bar(dev, BAR_REGISTERS, vma,
			       pgprot_noncached(vma->vm_page_prot));
	case MAP_MEMORY:
		return map_bar(dev, BAR_MEMORY, vma,
			       memory_protection(dev->pdev, vma->vm_page_prot));
	case MAP_STAMPS:
		return map_stamps(dev, vma);
	default:
		return -EINVAL;
	}
}
#endif

/* Whole pages, because the UIO core refuses a longer mapping than mem->size. */
static void describe_bar(struct uio_mem *mem, const char *name,
			 struct pci_dev *pdev, int bar)
{
	resource_size_t start = pci_resource_start(pdev, bar);

	mem->name = name;
	mem->addr = start & PAGE_MASK;
	mem->offs = start & ~PAGE_MASK;
	mem->size = PAGE_ALIGN(mem->offs + pci_resource_len(pdev, bar));
	mem->memtype = UIO_MEM_PHYS;
}

static int add_vector(struct msix_dev *dev, unsigned int index)
{
	struct msix_vector *vector = &dev->vectors[index];
	struct pci_dev *pdev = dev->pdev;
	struct uio_info *info = &vector->info;
	struct page *page = dev->stamps[index / STAMPS_PER_PAGE];
	irq_handler_t handler = dev->intx ? intx_interrupt : msix_interrupt;
	struct uio_mem *stamps;
	int err;

	vector->dev = dev;
	vector->stamp = (struct stamp *)page_address(page) + index % STAMPS_PER_PAGE;
	vector->irq = pci_irq_vector(pdev, index);
	if (vector->irq < 0)
		return vector->irq;
	snprintf(vector->name, sizeof(vector->name), DRIVER_NAME "-v%u", index);
	snprintf(vector->irq_name, sizeof(vector->irq_name),
		 DRIVER_NAME "-v%u@pci:%s", index, pci_name(pdev));

	info->name = vector->name;
	info->version = DRIVER_VERSION;
	info->priv = vector;
	info->irq = UIO_IRQ_CUSTOM;
	info->irqcontrol = dev->intx ? intx_irqcontrol : NULL;
#ifdef UIO_HAS_MMAP_PREPARE
	info->mmap_prepare = msix_mmap_prepare;
#else
	info->mmap = msix_mmap;
#endif
	describe_bar(&info->mem[MAP_REGISTERS], "registers", pdev, BAR_REGISTERS);
	if (has_memory_bar(pdev, BAR_MEMORY))
		describe_bar(&info->mem[MAP_MEMORY], "memory", pdev, BAR_MEMORY);
	stamps = &info->mem[stamp_map(pdev)];
	stamps->name = "stamps";
	stamps->size = dev->stamp_pages * PAGE_SIZE;
	stamps->memtype = UIO_MEM_NONE;

	err = uio_register_device(&pdev->dev, info);
	if (err)
		return err;

	/* The handler notifies the UIO device, so it comes second. */
	err = request_irq(vector->irq, handler, dev->intx ? IRQF_SHARED : 0,
			  vector->irq_name, vector);
	if (err)
		uio_unregister_device(info);
	return err;
}

static void remove_vectors(struct msix_dev *dev)
{
	/* Others who share the line must not suffer a device without a handler. */
	if (dev->intx) {
		mutex_lock(&dev->pin_lock);
		dev->gone = true;
		pci_intx(dev->pdev, 0);
		mutex_unlock(&dev->pin_lock);
	}
	while (dev->ready) {
		struct msix_vector *vector = &dev->vectors[--dev->ready];

		free_irq(vector->irq, vector);
		uio_unregister_device(&vector->info);
	}
}

static void free_stamps(struct msix_dev *dev)
{
	while (dev->stamp_pages)
		__free_page(dev->stamps[--dev->stamp_pages]);
}

static int alloc_stamps(struct msix_dev *dev)
{
	unsigned int pages = DIV_ROUND_UP(dev->count, STAMPS_PER_PAGE);

	while (dev->stamp_pages < pages) {
		struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);

		if (!page) {
			free_stamps(dev);
			return -ENOMEM;
		}
		dev->stamps[dev->stamp_pages++] = page;
	}
	return 0;
}

/* A hot-plugged device may have found no room in its bridge's window. */
static int check_address(struct pci_dev *pdev, int bar)
{
	if (pci_resource_flags(pdev, bar) & IORESOURCE_UNSET ||
	    !pci_resource_start(pdev, bar)) {
		dev_err(&pdev->dev, "BAR %d has no address: %pR\n", bar,
			&pdev->resource[bar]);
		return -ENOSPC;
	}
	return 0;
}

/* Decoding is off meanwhile: two addresses are never live at a time. */
static int move_memory_bar(struct pci_dev *pdev)
{
	u16 command;
	int err;

	if (above_4g(pdev, BAR_MEMORY))
		return 0;

	pci_read_config_word(pdev, PCI_COMMAND, &command);
	pci_write_config_word(pdev, PCI_COMMAND, command & ~PCI_COMMAND_MEMORY);
	pci_release_resource(pdev, BAR_MEMORY);
	err = pci_assign_resource(pdev, BAR_MEMORY);
	pci_write_config_word(pdev, PCI_COMMAND, command);
	if (err) {
		dev_err(&pdev->dev, "no new address for BAR 2: %d\n", err);
		return err;
	}
	if (!above_4g(pdev, BAR_MEMORY))
		dev_warn(&pdev->dev, "BAR 2 stays below 4 GiB: its bridge has no window above\n");
	return 0;
}

/* Checks the BARs, and moves BAR 2 if that is wanted. */
static int prepare_bars(struct pci_dev *pdev)
{
	int err;

	if (!has_memory_bar(pdev, BAR_REGISTERS)) {
		dev_err(&pdev->dev, "BAR 0 is no memory BAR\n");
		return -ENODEV;
	}
	err = check_address(pdev, BAR_REGISTERS);
	if (err || !has_memory_bar(pdev, BAR_MEMORY))
		return err;
	if (move_bar2) {
		err = move_memory_bar(pdev);
		if (err)
			return err;
	}
	return check_address(pdev, BAR_MEMORY);
}

/* How many interrupts to take; whether they are the one of the pin. */
static int wanted_vectors(struct pci_dev *pdev, bool *intx)
{
	int has = pci_msix_vec_count(pdev);

	*intx = has <= 0;
	if (*intx) {
		if (!pdev->pin) {
			dev_err(&pdev->dev, "the device has no interrupts: neither MSI-X nor a pin\n");
			return -ENODEV;
		}
		if (!pci_intx_mask_supported(pdev)) {
			dev_err(&pdev->dev, "the device has no MSI-X, and its pin cannot be disabled\n");
			return -ENODEV;
		}
		has = 1;
	}
	has = min(has, MAX_VECTORS);
	if (vectors > has) {
		dev_err(&pdev->dev, "vectors=%u asked for, the device has %d\n",
			vectors, has);
		return -EINVAL;
	}
	return vectors ? vectors : has;
}

/*
 * What a mapping of BAR 2 would get. Write-back is granted only where the MTRRs do
 * and where nobody has mapped the memory otherwise. The kernel does not say which
 * it was, so it is asked for a page and the page table is looked at: write-back is
 * the type without any of the attribute bits.
 */
static const char *memory_type(struct pci_dev *pdev)
{
	const char *type = "unknown";
	unsigned int level;
	void __iomem *page;
	pte_t *pte;

	if (!may_be_cached(pdev))
		return "not cached";
	page = ioremap_cache(pci_resource_start(pdev, BAR_MEMORY), PAGE_SIZE);
	if (!page)
		return type;
	pte = lookup_address((unsigned long)page, &level);
	if (pte && level == PG_LEVEL_4K)
		type = pte_flags(*pte) & _PAGE_CACHE_MASK ? "not cached" : "write-back";
	iounmap(page);
	return type;
}

static void log_device(struct msix_dev *dev)
{
	struct pci_dev *pdev = dev->pdev;
	struct device *device = &pdev->dev;

	if (dev->intx)
		dev_info(device, "no MSI-X: one interrupt pin\n");
	else
		dev_info(device, "%u MSI-X vectors\n", dev->count);
	if (has_memory_bar(pdev, BAR_MEMORY))
		dev_info(device, "BAR 2 at %pa, %s 4 GiB, %s\n",
			 &pdev->resource[BAR_MEMORY].start,
			 above_4g(pdev, BAR_MEMORY) ? "above" : "below",
			 memory_type(pdev));
}

static int msix_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct msix_dev *dev;
	int count, err;
	bool intx;

	count = wanted_vectors(pdev, &intx);
	if (count < 0)
		return count;
	err = prepare_bars(pdev);
	if (err)
		return err;

	dev = kvzalloc(struct_size(dev, vectors, count), GFP_KERNEL);
	if (!dev)
		return -ENOMEM;
	mutex_init(&dev->pin_lock);
	dev->pdev = pdev;
	dev->count = count;
	dev->intx = intx;
	err = alloc_stamps(dev);
	if (err)
		goto free_dev;

	err = pci_enable_device(pdev);
	if (err)
		goto free_pages;
	pci_set_master(pdev);

	err = pci_alloc_irq_vectors(pdev, count, count,
				    intx ? PCI_IRQ_INTX : PCI_IRQ_MSIX);
	if (err < 0) {
		dev_err(&pdev->dev, "no %d %s vectors: %d\n", count,
			intx ? "INTx" : "MSI-X", err);
		goto disable;
	}

	for (; dev->ready < dev->count; dev->ready++) {
		err = add_vector(dev, dev->ready);
		if (err) {
			dev_err(&pdev->dev, "vector %u: %d\n", dev->ready, err);
			goto remove;
		}
	}

	pci_set_drvdata(pdev, dev);
	log_device(dev);
	return 0;

remove:
	remove_vectors(dev);
	pci_free_irq_vectors(pdev);
disable:
	pci_disable_device(pdev);
free_pages:
	free_stamps(dev);
free_dev:
	kvfree(dev);
	return err;
}

/* Readers that are blocked now return EIO; what they have mapped stays mapped. */
static void msix_remove(struct pci_dev *pdev)
{
	struct msix_dev *dev = pci_get_drvdata(pdev);

	remove_vectors(dev);
	pci_free_irq_vectors(pdev);
	pci_disable_device(pdev);
	free_stamps(dev);
	kvfree(dev);
}

/*
 * The scale of the stamps, which user space has no other exact way to learn. The
 * kernel refines it in the first seconds after boot: read it late.
 */
static ssize_t tsc_khz_show(struct device *device, struct device_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%u\n", tsc_khz);
}
static DEVICE_ATTR_RO(tsc_khz);

/* Where BAR 2 lies, and how it would be mapped now. */
static ssize_t bar2_show(struct device *device, struct device_attribute *attr,
			 char *buf)
{
	struct pci_dev *pdev = to_pci_dev(device);

	return sysfs_emit(buf, "%pa, %s 4 GiB, %s\n",
			  &pdev->resource[BAR_MEMORY].start,
			  above_4g(pdev, BAR_MEMORY) ? "above" : "below",
			  memory_type(pdev));
}
static DEVICE_ATTR_RO(bar2);

static struct attribute *msix_attrs[] = {
	&dev_attr_tsc_khz.attr,
	&dev_attr_bar2.attr,
	NULL
};

static umode_t msix_attr_visible(struct kobject *kobj, struct attribute *attr,
				 int index)
{
	struct pci_dev *pdev = to_pci_dev(kobj_to_dev(kobj));

	if (attr == &dev_attr_bar2.attr && !has_memory_bar(pdev, BAR_MEMORY))
		return 0;
	return attr->mode;
}

static const struct attribute_group msix_group = {
	.attrs = msix_attrs,
	.is_visible = msix_attr_visible,
};

static const struct attribute_group *msix_groups[] = {
	&msix_group,
	NULL
};

static struct pci_driver msix_driver = {
	.name = DRIVER_NAME,
	.id_table = NULL,	/* driver_override only */
	.probe = msix_probe,
	.remove = msix_remove,
	.dev_groups = msix_groups,
};
module_pci_driver(msix_driver);

MODULE_DESCRIPTION("UIO driver for PCI devices that signal through MSI-X");
MODULE_LICENSE("GPL");
MODULE_VERSION(DRIVER_VERSION);

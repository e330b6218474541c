/* bcryptprimitives.dll for Wine before 9.0, which lacks it: Rust's standard library takes its random numbers from
 * ProcessPrng. For tests only; Windows has the real one. */
#include <stddef.h>

unsigned char __stdcall SystemFunction036(void *buffer, unsigned long length); /* RtlGenRandom, in advapi32 */

__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *buffer, size_t length)
{
    while (length > 0) {
        unsigned long part = length < 0x10000000 ? (unsigned long)length : 0x10000000;
        if (!SystemFunction036(buffer, part))
            return 0;
        buffer += part;
        length -= part;
    }
    return 1;
}
